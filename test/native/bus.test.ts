import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createBusConsumer,
  createBusServer,
  createProducerPool,
  isNativeError,
  monotonicNs,
  type BusConsumerEvent,
  type BusServerEvent,
  type FrameFormat,
  type FrameLease,
  type LeaseRefusal,
} from '../../native/index.js';
import { BusPeer } from '../helpers/bus_peer.js';
import { eventually } from '../helpers/eventually.js';
import { ROOT, runNode } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';
import { CONSUMER, groups, SERVER } from '../helpers/bus_options.js';

const FORMAT: FrameFormat = {
  width: 322,
  height: 181,
  pixelFormat: 'I420',
  matrix: 'bt601',
  range: 'limited',
  frameRateNumerator: 25,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
};
const POOL = { format: FORMAT, memory: 'shm' as const, slots: 4, groups: groups(['infer', 2], 'sink') };

interface Published {
  slot: number;
  generation: string;
}

/** Descriptors and mappings of the bus that a process has. */
function resources(pid: number): { fds: number; maps: number } {
  return {
    fds: readdirSync(`/proc/${pid}/fd`).length,
    maps: readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').filter((line) => line.includes('framebus-')).length,
  };
}

async function eventOf(peer: BusPeer, type: string): Promise<Record<string, unknown>> {
  return eventually(`event ${type}`, async () =>
    (await peer.ask<Record<string, unknown>[]>('events')).find((event) => event['type'] === type),
  );
}

/** Producer and consumer in this process. */
function pair(directory: string) {
  const serverEvents: BusServerEvent[] = [];
  const consumerEvents: BusConsumerEvent[] = [];
  const server = createBusServer({ directory, producer: 'ingest-0', ...SERVER }, (event) =>
    serverEvents.push(event),
  );
  const pool = createProducerPool(server, { streamId: 'gate', ...POOL });
  const consumer = createBusConsumer({ directory, name: 'here', group: 'infer', maxHeld: 2, ...CONSUMER }, (event) =>
    consumerEvents.push(event),
  );
  onTestFinished(async () => {
    await consumer.close();
    pool.close();
    await server.close();
  });
  return { server, pool, consumer, serverEvents, consumerEvents };
}

function leased(lease: FrameLease | LeaseRefusal): FrameLease {
  if (typeof lease === 'string') throw new Error(`no lease: ${lease}`);
  return lease;
}

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (isNativeError(error)) return error.code;
    throw error;
  }
  return '';
}

describe('frame bus in one process', () => {
  it('gives planes without a copy, until they are released', async () => {
    const { pool, consumer } = pair(tempFolder());
    expect(consumer.lease(pool.epoch, 0, 1n)).toBe('unattached');
    await consumer.attach('ingest-0', pool.epoch);
    const slot = pool.acquire(false);
    if (slot === null) throw new Error('no slot');
    const written = slot.planes();
    written[0]?.data.fill(11);
    written[2]?.data.fill(33);
    const generation = slot.publish();
    expect(written[0]?.data.length).toBe(0);
    expect(codeOf(() => slot.planes())).toBe('FRAME_RELEASED');

    const lease = leased(consumer.lease(pool.epoch, slot.slot, generation));
    const planes = lease.planes();
    expect(lease.format).toEqual(FORMAT);
    expect(planes.map(({ width, height, stride }) => [width, height, stride])).toEqual([
      [322, 181, 384],
      [161, 91, 192],
      [161, 91, 192],
    ]);
    expect(planes[0]?.data.length).toBe(384 * 180 + 322);
    expect([planes[0]?.data.at(-1), planes[2]?.data.at(-1)]).toEqual([11, 33]);
    expect(lease.planes()[0]?.data.buffer).toBe(planes[0]?.data.buffer);
    expect(consumer.held()).toBe(1);
    expect(pool.delivery(slot.slot, generation, 'infer')).toBe('held');

    lease.release();
    lease.release();
    expect(planes[0]?.data.length).toBe(0);
    expect(lease.valid()).toBe(false);
    expect(codeOf(() => lease.planes())).toBe('FRAME_RELEASED');
    expect(consumer.held()).toBe(0);
    expect(pool.delivery(slot.slot, generation, 'infer')).toBe('released');
    expect(pool.endDelivery(slot.slot, generation, 'sink')).toBe('closed');
    expect(pool.counts()).toEqual({ free: 3, writing: 0, published: 1 });
  });

  it('refuses with the reason', async () => {
    const { pool, consumer } = pair(tempFolder());
    await consumer.attach('ingest-0', pool.epoch);
    const frames = [0, 1, 2].map(() => {
      const slot = pool.acquire(false);
      return { slot: slot?.slot ?? -1, generation: slot?.publish() ?? 0n };
    });
    const leases = frames.map(({ slot, generation }) => consumer.lease(pool.epoch, slot, generation));
    expect(leases[2]).toBe('quota');
    expect(consumer.lease(pool.epoch, 0, 99n)).toBe('stale');
    for (const lease of leases) if (typeof lease !== 'string') lease.release();
    const third = frames[2] ?? { slot: 0, generation: 0n };
    expect(pool.endDelivery(third.slot, third.generation, 'infer')).toBe('closed');
    expect(consumer.lease(pool.epoch, third.slot, third.generation)).toBe('stale');
    await expect(consumer.attach('ingest-0', 'f'.repeat(32))).rejects.toMatchObject({ code: 'BUS_EPOCH_GONE' });
    await expect(consumer.attach('ingest-9', 'f'.repeat(32))).rejects.toMatchObject({ code: 'BUS_UNREACHABLE' });
    await expect(consumer.attach('../etc', 'f'.repeat(32))).rejects.toMatchObject({ code: 'BAD_OPTIONS' });
  });

  it('names the field when an argument is wrong', () => {
    const { server } = pair(tempFolder());
    const wrong = { streamId: 'gate', ...POOL, format: { ...FORMAT, width: '322' as unknown as number } };
    expect(() => createProducerPool(server, wrong)).toThrow(
      /^Expected number for options\.format\.width but received string$/,
    );
    expect(codeOf(() => createProducerPool(server, wrong))).toBe('BAD_ARGUMENT');
    expect(() => createProducerPool({} as typeof server, { streamId: 'gate', ...POOL })).toThrow(/server/);
  });

  it('calls no listener after close, and closes twice', async () => {
    const directory = tempFolder();
    const { server, pool, consumer, serverEvents, consumerEvents } = pair(directory);
    await consumer.attach('ingest-0', pool.epoch);
    await eventually('attached', () => serverEvents.length > 0);
    await consumer.close();
    await server.close();
    const seen = [serverEvents.length, consumerEvents.length];
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([serverEvents.length, consumerEvents.length]).toEqual(seen);
    expect(readdirSync(directory)).toEqual([]);
    await Promise.all([consumer.close(), server.close()]);
    await expect(consumer.attach('ingest-0', pool.epoch)).rejects.toMatchObject({ code: 'BUS_CLOSED' });
    expect(codeOf(() => createProducerPool(server, { streamId: 'gate', ...POOL }))).toBe('BUS_CLOSED');
  });

  it('serves worker threads; the end of a worker returns its leases', async () => {
    const directory = tempFolder();
    const { pool, consumer, server, serverEvents } = pair(directory);
    await consumer.attach('ingest-0', pool.epoch);
    const slot = pool.acquire(false);
    if (slot === null) throw new Error('no slot');
    for (const plane of slot.planes()) plane.data.fill(128);
    const generation = slot.publish();
    const lease = leased(consumer.lease(pool.epoch, slot.slot, generation));
    const workerData = { directory, epoch: pool.epoch, slot: slot.slot, generation, leaseId: lease.id };
    const workers = [0, 1].map(() => new Worker(join(ROOT, 'test/fixtures/bus_worker.mjs'), { workerData }));
    const results = await Promise.all(
      workers.map(async (worker) => (await once(worker, 'message')) as [{ first: number; ids: number[]; level: number }]),
    );
    for (const [{ first, ids, level }] of results) {
      expect(first).toBe(128);
      expect(ids[0]).toBe(lease.id);
      expect(level).toBeGreaterThan(120);
    }
    expect(new Set(results.map(([{ ids }]) => ids[1])).size).toBe(2);
    expect(server.consumers()).toEqual({ infer: 3 });
    await Promise.all(workers.map((worker) => worker.terminate()));
    await eventually('both gone', () => serverEvents.filter(({ type }) => type === 'detached').length === 2);
    expect(server.consumers()).toEqual({ infer: 1 });
    expect(lease.valid()).toBe(true);
    lease.release();
  });

  it('outlives threads that end by an error of theirs, and has their leases back', async () => {
    const directory = tempFolder();
    const { pool, consumer, server, serverEvents } = pair(directory);
    await consumer.attach('ingest-0', pool.epoch);
    const slot = pool.acquire(false);
    if (slot === null) throw new Error('no slot');
    const generation = slot.publish();
    const lease = leased(consumer.lease(pool.epoch, slot.slot, generation));
    const workerData = { directory, epoch: pool.epoch, slot: slot.slot, generation, leaseId: lease.id, fails: true };
    for (let round = 1; round <= 5; round++) {
      const workers = [0, 1].map(() => new Worker(join(ROOT, 'test/fixtures/bus_worker.mjs'), { workerData }));
      const errors = await Promise.all(workers.map(async (worker) => (await once(worker, 'error')) as [Error]));
      for (const [error] of errors) expect(error.message).toBe('Expected object for frames[1] but received number 0');
      await eventually('both gone', () => serverEvents.filter(({ type }) => type === 'detached').length === 2 * round);
    }
    expect(server.consumers()).toEqual({ infer: 1 });
    expect(lease.valid()).toBe(true);
    lease.release();
  });

  it('has the clock of Node', () => {
    const before = process.hrtime.bigint();
    const now = monotonicNs();
    expect(now >= before && now <= process.hrtime.bigint()).toBe(true);
  });
});

describe('frame bus between processes', () => {
  it('returns the leases of a killed consumer within a second, exactly those', async () => {
    const directory = tempFolder();
    const producer = await BusPeer.producer(directory);
    const { epoch } = await producer.ask<{ epoch: string }>('pool', POOL);
    const frames: Published[] = [];
    for (const value of [1, 2, 3]) frames.push(await producer.ask<Published>('publish', { value }));
    const [dies, lives] = await Promise.all([BusPeer.consumer(directory), BusPeer.consumer(directory)]);
    await Promise.all([dies.ask('attach', { epoch }), lives.ask('attach', { epoch })]);
    await dies.ask('lease', { epoch, ...frames[0] });
    await dies.ask('lease', { epoch, ...frames[1] });
    const kept = await lives.ask<{ id: number }>('lease', { epoch, ...frames[2] });
    await producer.ask('events');
    const killed = performance.now();
    dies.process.kill('SIGKILL');
    const event = await eventOf(producer, 'detached');
    expect(performance.now() - killed).toBeLessThan(1000);
    expect(event['held']).toEqual([
      { epoch, ...frames[0] },
      { epoch, ...frames[1] },
    ]);
    const standing = frames.map((frame) => producer.ask('delivery', { ...frame, group: 'infer' }));
    expect(await Promise.all(standing)).toEqual(['none', 'none', 'held']);
    expect(await lives.ask('read', kept)).toEqual({ values: [3, 3, 3], valid: true });
    // Somebody else takes what the dead one had.
    expect(await lives.ask('lease', { epoch, ...frames[0] })).toHaveProperty('id');
  });

  it('survives a killed producer and finds the restarted one', async () => {
    const directory = tempFolder();
    const first = await BusPeer.producer(directory);
    const { epoch } = await first.ask<{ epoch: string }>('pool', POOL);
    const frame = await first.ask<Published>('publish', { value: 7 });
    const consumer = await BusPeer.consumer(directory);
    await consumer.ask('attach', { epoch });
    const lease = await consumer.ask<{ id: number }>('lease', { epoch, ...frame });
    first.process.kill('SIGKILL');
    expect(await eventOf(consumer, 'detached')).toMatchObject({ producer: 'ingest-0' });
    expect(await consumer.ask('read', lease)).toEqual({ values: [7, 7, 7], valid: true });
    expect(await consumer.ask('attach', { epoch })).toMatchObject({ code: 'BUS_UNREACHABLE' });

    const second = await BusPeer.producer(directory);
    const next = await second.ask<{ epoch: string }>('pool', POOL);
    expect(await consumer.ask('attach', { epoch })).toMatchObject({ code: 'BUS_EPOCH_GONE' });
    expect(await consumer.ask('attach', next)).toBeNull();
    const again = await second.ask<Published>('publish', { value: 8 });
    const other = await consumer.ask<{ id: number }>('lease', { ...next, ...again });
    expect(await consumer.ask('read', other)).toEqual({ values: [8, 8, 8], valid: true });
    await consumer.ask('release', other);
    await consumer.ask('release', lease);
    // The dead producer's memory is gone with the last lease; the pool and a lane of the new one stay.
    expect(resources(consumer.process.pid).maps).toBe(2);
    await consumer.ask('close');
    await second.ask('close');
    expect(readdirSync(directory)).toEqual([]);
  });

  it('leaves no descriptor and no mapping behind in 200 rounds', async () => {
    const directory = tempFolder();
    const producer = await BusPeer.producer(directory);
    const { epoch } = await producer.ask<{ epoch: string }>('pool', POOL);
    const frame = await producer.ask<Published>('publish', { value: 1 });
    const consumer = await BusPeer.consumer(directory);
    await consumer.ask('rounds', { count: 10, epoch, ...frame });
    const settled = async () => {
      await eventually('all detached', async () => Object.keys(await producer.ask('consumers')).length === 0);
      return [resources(consumer.process.pid), resources(producer.process.pid)];
    };
    const before = await settled();
    await consumer.ask('rounds', { count: 200, epoch, ...frame });
    expect(await settled()).toEqual(before);
    expect(before.map(({ maps }) => maps)).toEqual([0, 1]);
  });

  it('loses nothing to others when one consumer is stopped', async () => {
    const directory = tempFolder();
    const producer = await BusPeer.producer(directory);
    const { epoch } = await producer.ask<{ epoch: string }>('pool', { ...POOL, slots: 6 });
    const [stopped, running] = await Promise.all([
      BusPeer.consumer(directory, 'infer'),
      BusPeer.consumer(directory, 'sink'),
    ]);
    await Promise.all([stopped.ask('attach', { epoch }), running.ask('attach', { epoch })]);
    const held = await producer.ask<Published>('publish', { value: 200 });
    const stuck = await stopped.ask<{ id: number }>('lease', { epoch, ...held });
    stopped.process.kill('SIGSTOP');
    for (let value = 0; value < 100; value += 1) {
      const frame = await producer.ask<Published | null>('publish', { value, displace: true });
      expect(frame).not.toBeNull();
      const lease = await running.ask<{ id: number }>('lease', { epoch, ...frame });
      expect(await running.ask('read', lease)).toEqual({ values: [value, value, value], valid: true });
      await running.ask('release', lease);
    }
    stopped.process.kill('SIGCONT');
    expect(await stopped.ask('read', stuck)).toEqual({ values: [200, 200, 200], valid: true });
  });

  it('reports a lease that was forgotten, and ends it', async () => {
    const directory = tempFolder();
    const producer = await BusPeer.producer(directory);
    const { epoch } = await producer.ask<{ epoch: string }>('pool', POOL);
    const frame = await producer.ask<Published>('publish', { value: 1 });
    const consumer = await BusPeer.consumer(directory);
    await consumer.ask('attach', { epoch });
    const lease = await consumer.ask<{ id: number }>('lease', { epoch, ...frame });
    await consumer.ask('read', lease);
    expect(await consumer.ask('forget', lease)).toBe(0);
    expect(await eventOf(consumer, 'leaked')).toEqual({ type: 'leaked', epoch, ...frame });
    expect(await producer.ask('delivery', { ...frame, group: 'infer' })).toBe('released');
  });

  it('kills a consumer that writes pixels, and keeps the frame', async () => {
    const directory = tempFolder();
    const producer = await BusPeer.producer(directory);
    const { epoch } = await producer.ask<{ epoch: string }>('pool', POOL);
    const frame = await producer.ask<Published>('publish', { value: 50 });
    const [writer, reader] = await Promise.all([BusPeer.consumer(directory), BusPeer.consumer(directory, 'sink')]);
    await Promise.all([writer.ask('attach', { epoch }), reader.ask('attach', { epoch })]);
    const lease = await writer.ask<{ id: number }>('lease', { epoch, ...frame });
    await expect(writer.ask('write', lease)).rejects.toThrow(/ended first/);
    expect(writer.process.child.signalCode).toMatch(/SIGSEGV|SIGBUS/);
    const intact = await reader.ask<{ id: number }>('lease', { epoch, ...frame });
    expect(await reader.ask('read', intact)).toEqual({ values: [50, 50, 50], valid: true });
  });
});

describe('the door to the addon', () => {
  const load = `import('./dist/native/index.js').then((native) => { try { native.monotonicNs(); } catch (error) {
    console.log(error.code, error.message); } })`;

  it.each([
    ['/nowhere/framebus.node', /ADDON_MISSING .*\/nowhere\/framebus\.node.*npm run setup/],
    ['/proc/self/cmdline', /ADDON_UNLOADABLE .*npm run setup/],
  ])('says what to do about %s', async (addon, message) => {
    const child = runNode(['--input-type=module', '--eval', load], { env: { FRAMEBUS_ADDON: addon } });
    expect(await child.exitCode()).toBe(0);
    expect(child.stdout).toMatch(message);
  });
});
