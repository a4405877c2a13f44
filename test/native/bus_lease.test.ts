import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createBusConsumer,
  createBusServer,
  createProducerPool,
  createSource,
  isNativeError,
  type BusConsumerEvent,
  type BusConsumerOptions,
  type BusServerEvent,
  type BusServerOptions,
  type FrameFormat,
  type FrameLease,
  type LeaseRefusal,
  type RouteGroup,
} from '../../native/index.js';
import { CONSUMER, groups, SERVER } from '../helpers/bus_options.js';
import { eventually } from '../helpers/eventually.js';
import { tempFolder } from '../helpers/temp.js';

const FORMAT: FrameFormat = {
  width: 66,
  height: 35,
  pixelFormat: 'NV12',
  matrix: 'bt709',
  range: 'limited',
  frameRateNumerator: 25,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
};

/** A producer with one pool, and consumers on demand, all in this process. */
function rig(route: RouteGroup[], slots = 8, server: Partial<BusServerOptions> = {}) {
  const directory = tempFolder();
  const serverEvents: BusServerEvent[] = [];
  const bus = createBusServer({ directory, producer: 'ingest-0', ...SERVER, ...server }, (event) =>
    serverEvents.push(event),
  );
  const pool = createProducerPool(bus, { streamId: 'gate', format: FORMAT, memory: 'shm', slots, groups: route });
  onTestFinished(async () => {
    pool.close();
    await bus.close();
  });
  const consumer = (options: Partial<BusConsumerOptions> = {}) => {
    const events: BusConsumerEvent[] = [];
    const made = createBusConsumer(
      { directory, name: 'here', group: 'infer', maxHeld: 64, ...CONSUMER, ...options },
      (event) => events.push(event),
    );
    onTestFinished(() => made.close());
    return { events, consumer: made };
  };
  const publish = (value: number) => {
    const slot = pool.acquire(true);
    if (slot === null) throw new Error('no slot');
    for (const plane of slot.planes()) plane.data.fill(value);
    return { slot: slot.slot, generation: slot.publish() };
  };
  return { bus, pool, serverEvents, consumer, publish };
}

function leased(lease: FrameLease | LeaseRefusal): FrameLease {
  if (typeof lease === 'string') throw new Error(`no lease: ${lease}`);
  return lease;
}

function failureOf(call: () => unknown): { code: string; message: string } {
  try {
    call();
  } catch (error) {
    if (isNativeError(error)) return { code: error.code, message: error.message };
    throw error;
  }
  return { code: '', message: '' };
}

describe('a lease with a deadline', () => {
  it('is revoked when it passes, and the consumer goes on after another attach', async () => {
    const { bus, pool, serverEvents, consumer: make, publish } = rig(groups(['infer', 4]), 8, { leaseDeadlineMs: 100 });
    const { consumer, events } = make();
    await consumer.attach('ingest-0', pool.epoch);
    const frame = publish(7);
    const lease = leased(consumer.lease(pool.epoch, frame.slot, frame.generation));
    const planes = lease.planes();
    await eventually('revoked', () => events.length > 0);
    expect(events).toEqual([{ type: 'revoked', producer: 'ingest-0', reason: expect.stringContaining('leases end after 0.1 s') as string }]);
    const detached = serverEvents.find(({ type }) => type === 'detached');
    expect(detached).toMatchObject({ revoked: true, held: [{ epoch: pool.epoch, ...frame }], consumer: 'here' });
    expect(lease.valid()).toBe(false);
    expect(failureOf(() => lease.planes())).toMatchObject({ code: 'LEASE_REVOKED', message: expect.stringMatching(/the producer has ended it/) as string });
    await expect(lease.download()).rejects.toMatchObject({ code: 'LEASE_REVOKED' });
    // Views that were there stay readable, whatever is in them.
    expect(planes[0]?.data.length).toBe(128 * 34 + 66);
    expect(consumer.lease(pool.epoch, frame.slot, frame.generation)).toBe('unattached');

    await consumer.attach('ingest-0', pool.epoch);
    const again = leased(consumer.lease(pool.epoch, frame.slot, frame.generation));
    expect(again.valid()).toBe(true);
    expect(again.planes()[0]?.data[0]).toBe(7);
    expect(bus.pools()[0]?.consumers[0]).toMatchObject({ revoked: 1n, held: 1, delivered: 1n });
    again.release();
    lease.release();
    expect(planes[0]?.data.length).toBe(0);
  });
});

describe('holds', () => {
  it('are granted as far as the pool goes, refused with the numbers, and kept', async () => {
    const { pool, consumer: make, publish } = rig(groups(['infer', 2], ['sink', 3]));
    const { consumer } = make({ name: 'observer', group: 'others', hold: 9 });
    expect(consumer.hold(pool.epoch)).toBe(0);
    await consumer.attach('ingest-0', pool.epoch);
    expect(consumer.hold(pool.epoch)).toBe(2);
    const frames = [1, 2, 3].map(publish);
    const leases = frames.map(({ slot, generation }) => consumer.lease(pool.epoch, slot, generation));
    expect(leases[2]).toBe('quota');
    const { consumer: late } = make({ name: 'late', group: 'others', hold: 2, minHold: 2 });
    await expect(late.attach('ingest-0', pool.epoch)).rejects.toMatchObject({
      code: 'BUS_ADMISSION',
      message: expect.stringMatching(/7 slots may be held, group infer has 2, group sink 3, observer 2; none is left, at least 2 were asked by late/) as string,
    });
    for (const lease of leases) if (typeof lease !== 'string') lease.release();
  });

  it('refuses a route that does not fit', () => {
    expect(failureOf(() => rig(groups(['infer', 4], ['sink', 4])))).toMatchObject({
      code: 'BAD_OPTIONS',
      message: expect.stringMatching(/infer 4, sink 4.*7 of its 8 slots/) as string,
    });
  });
});

describe('a group that comes later', () => {
  it('gets the frames while it is open', async () => {
    const { pool, consumer: make, publish } = rig(groups('sink'));
    const before = publish(1);
    pool.openGroup({ name: 'tap', hold: 3 });
    const { consumer } = make({ group: 'tap', hold: 2 });
    await consumer.attach('ingest-0', pool.epoch);
    expect(consumer.hold(pool.epoch)).toBe(2);
    expect(consumer.lease(pool.epoch, before.slot, before.generation)).toBe('stale');
    const during = publish(2);
    expect(pool.delivery(during.slot, during.generation, 'tap')).toBe('none');
    leased(consumer.lease(pool.epoch, during.slot, during.generation)).release();
    expect(pool.delivery(during.slot, during.generation, 'tap')).toBe('released');
    pool.closeGroup('tap');
    pool.closeGroup('nobody');
    const after = publish(3);
    expect(consumer.lease(pool.epoch, after.slot, after.generation)).toBe('stale');
    expect(failureOf(() => { pool.openGroup({ name: 'large', hold: 9 }); }).code).toBe('BUS_ADMISSION');
  });

  it('is on the route of a source before that has a pool, if it fits', async () => {
    const { bus } = rig([]);
    const options = { streamId: 'clip', uri: 'file:///nowhere.mp4', loop: false, realtime: false, memory: 'shm', slots: 4, decoderThreads: 1, rtspTransport: 'tcp', noFrameTimeoutMs: 0 } as const;
    const source = createSource(bus, { ...options, mode: 'lossless', groups: groups('sink') }, () => undefined);
    source.openGroup({ name: 'tap', hold: 3 });
    expect(failureOf(() => { source.openGroup({ name: 'more', hold: 1 }); })).toMatchObject({
      code: 'BUS_ADMISSION',
      message: expect.stringMatching(/group sink has 1, group tap 3; none is left/) as string,
    });
    source.closeGroup('tap');
    source.openGroup({ name: 'more', hold: 1 });
    source.setMode('latest');
    expect(failureOf(() => { source.setMode('newest' as 'latest'); }).code).toBe('BAD_ARGUMENT');
    await source.close();
  });
});

describe('a copy of a frame', () => {
  it('has memory of its own, and outlives its lease', async () => {
    const { pool, consumer: make, publish } = rig(groups(['infer', 2]));
    const { consumer } = make();
    await consumer.attach('ingest-0', pool.epoch);
    const frame = publish(9);
    const lease = leased(consumer.lease(pool.epoch, frame.slot, frame.generation));
    expect(lease.memory).toBe('shm');
    const copying = lease.download();
    lease.release(); // The copy keeps the frame until it is made.
    const planes = await copying;
    await eventually('let go', () => consumer.held() === 0);
    for (let value = 10; value < 30; value += 1) publish(value);
    expect(planes.map(({ width, height, stride }) => [width, height, stride])).toEqual([
      [66, 35, 128],
      [33, 18, 128],
    ]);
    expect(planes[0]?.data.length).toBe(128 * 34 + 66);
    for (const { data, stride, width, height } of planes) {
      const row = width === 66 ? 66 : 2 * width;
      for (let y = 0; y < height; y += 1) {
        expect(data.subarray(y * stride, y * stride + row).every((value) => value === 9)).toBe(true);
      }
    }
    await expect(lease.download()).rejects.toMatchObject({ code: 'FRAME_RELEASED' });
  });
});

describe('what a producer knows of its pools', () => {
  it('counts frames by group and consumer', async () => {
    const { bus, pool, consumer: make, publish } = rig(groups(['infer', 1], 'sink'), 3);
    const { consumer } = make({ hold: 4 });
    await consumer.attach('ingest-0', pool.epoch);
    const frames = [1, 2, 3].map(publish);
    const first = frames[0] ?? { slot: 0, generation: 0n };
    const second = frames[1] ?? first;
    const lease = leased(consumer.lease(pool.epoch, first.slot, first.generation));
    expect(consumer.lease(pool.epoch, second.slot, second.generation)).toBe('quota');
    publish(4); // Displaces the second.
    lease.release();
    expect(consumer.lease(pool.epoch, second.slot, second.generation)).toBe('stale');
    consumer.countDisplaced(pool.epoch, 2);
    consumer.countDisplaced('f'.repeat(32), 2);
    expect(bus.pools()).toEqual([
      {
        streamId: 'gate',
        epoch: pool.epoch,
        memory: 'shm',
        width: 66,
        height: 35,
        slots: 3,
        capacity: 2,
        free: 0,
        writing: 0,
        published: 3,
        retired: false,
        framesPublished: 4n,
        framesDisplaced: 1n,
        groups: [
          { name: 'infer', hold: 1, delivered: 1n, missed: 1n },
          { name: 'sink', hold: 1, delivered: 0n, missed: 1n },
        ],
        consumers: [
          {
            consumer: 'here',
            group: 'infer',
            peerUid: process.getuid?.(),
            hold: 1,
            held: 0,
            heldMost: 1,
            delivered: 1n,
            stale: 1n,
            quota: 1n,
            displaced: 2n,
            revoked: 0n,
          },
        ],
      },
    ]);
    pool.close();
    await consumer.close();
    await eventually('gone', () => bus.pools().length === 0);
  });
});

describe('a token', () => {
  it('keeps out who does not know it', async () => {
    const { pool, serverEvents, consumer: make } = rig(groups('infer'), 4, { token: 'open sesame' });
    const refused = { code: 'BUS_REFUSED', message: expect.stringMatching(/wrong or missing token; set bus\.token_file/) as string };
    await expect(make().consumer.attach('ingest-0', pool.epoch)).rejects.toMatchObject(refused);
    await expect(make({ token: 'open' }).consumer.attach('ingest-0', pool.epoch)).rejects.toMatchObject(refused);
    await make({ token: 'open sesame' }).consumer.attach('ingest-0', pool.epoch);
    expect(JSON.stringify(serverEvents)).not.toContain('sesame');
    expect(failureOf(() => make({ token: 'x'.repeat(129) })).code).toBe('BAD_OPTIONS');
  });
});
