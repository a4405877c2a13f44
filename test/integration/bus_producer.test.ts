import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openBus, type Bus, type BusOptions, type Frame, type Plane, type Slot } from '../../lib/bus.js';
import { decodeStatus } from '../../lib/messages.js';
import { status } from '../../lib/subjects.js';
import { StreamState, type ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { natsClient, natsServer } from '../helpers/nats.js';
import { tempFolder } from '../helpers/temp.js';

const FORMAT = { width: 64, height: 48, frameRate: 25 };

/** Opens the bus of one folder and server, as often as asked. */
async function rig(): Promise<{ url: string; open: (options?: Partial<BusOptions>) => Promise<Bus> }> {
  const { url } = await natsServer();
  const directory = tempFolder();
  return {
    url,
    open: async (options = {}) => {
      const bus = await openBus({ nats: url, directory, log: captureLog().log, ...options });
      onTestFinished(() => bus.close());
      return bus;
    },
  };
}

/** Fills the planes with what is different for each frame, plane and row. */
function paint(planes: readonly Plane[], seq: number): void {
  for (const [index, plane] of planes.entries()) {
    for (let y = 0; y < plane.height; y++) {
      plane.data.fill((seq * 7 + index * 50 + y) % 256, y * plane.stride, y * plane.stride + plane.width);
    }
  }
}

function isPainted(planes: readonly Plane[], seq: number): boolean {
  return planes.every((plane, index) =>
    Array.from({ length: plane.height }, (_, y) => y).every((y) =>
      plane.data
        .subarray(y * plane.stride, y * plane.stride + plane.width)
        .every((value) => value === (seq * 7 + index * 50 + y) % 256),
    ),
  );
}

function publish(slot: Slot | null, seq: number): void {
  if (slot === null) throw new Error(`no slot for frame ${seq}`);
  paint(slot.planes, seq);
  slot.publish({ ptsNs: BigInt(seq) * 40_000_000n });
}

async function next(frames: AsyncIterator<Frame, undefined>): Promise<Frame> {
  const { value } = await frames.next();
  if (value === undefined) throw new Error('the loop has ended');
  return value;
}

describe('bus.producer', () => {
  it('lossless: publishes frames that others read as they were written, each once', async () => {
    const { open } = await rig();
    const [ours, theirs] = [await open(), await open()];
    const producer = await ours.producer({ stream: 'made', format: FORMAT, mode: 'lossless', services: false, slots: 8 });
    const frames = theirs.frames('made', { mode: 'lossless', hold: 2 });
    const first = frames.next();
    await eventually('the tap is open', () => Object.keys(producer.consumers()).length === 1);
    const made = (async () => {
      for (let seq = 0; seq < 200; seq++) publish(await producer.nextSlot(), seq);
    })();
    for (let seq = 0; seq < 200; seq++) {
      const frame = seq === 0 ? (await first).value! : await next(frames);
      expect(Number(frame.seq)).toBe(seq);
      expect(frame.ptsNs).toBe(BigInt(seq) * 40_000_000n);
      expect(frame.format).toMatchObject({ width: 64, height: 48, pixelFormat: 'I420', frameRateNumerator: 25 });
      expect(isPainted(frame.planes, seq)).toBe(true);
      frame.release();
    }
    await made;
  });

  it('latest: the newest frame goes out; what finds no slot is counted', async () => {
    const { open } = await rig();
    const [ours, theirs] = [await open(), await open()];
    const producer = await ours.producer({ stream: 'made', format: FORMAT, services: false, slots: 8 });
    const frames = theirs.frames('made', { hold: 2 });
    const first = frames.next();
    await eventually('the tap is open', () => Object.keys(producer.consumers()).length === 1);
    publish(producer.acquire(), 0);
    const held = [(await first).value!];
    publish(producer.acquire(), 1);
    held.push(await next(frames));
    expect(frames.held).toBe(2);
    for (let seq = 2; seq < 30; seq++) publish(producer.acquire(), seq);
    // Two are held: the third one has to wait until one is given back.
    const third = frames.next();
    expect(await Promise.race([third, new Promise((resolve) => setTimeout(resolve, 200, 'none'))])).toBe('none');
    expect(held.map((frame, seq) => isPainted(frame.planes, seq))).toEqual([true, true]);
    held[0]!.release();
    const newest = (await third).value!;
    expect(Number(newest.seq)).toBe(29);
    expect(isPainted(newest.planes, 29)).toBe(true);
    const { delivered, displaced, stale, quota } = frames.counters;
    expect(delivered).toBe(3);
    expect(displaced + stale + quota).toBe(27);
    await theirs.close();
  });

  it('latest: gives null when all is written to or held, and counts the frame', async () => {
    const { open, url } = await rig();
    const nats = await natsClient(url);
    let last: ServiceStatus | undefined;
    nats.subscribe(status('producer', 'my-made'), { callback: (_error, { data }) => void (last = decodeStatus(data)) });
    const producer = await (await open()).producer({ stream: 'My_made', format: FORMAT, slots: 2 });
    expect(producer.name).toBe('my-made');
    const slots = [producer.acquire(), producer.acquire(), producer.acquire()];
    expect(slots).not.toContain(null);
    expect(producer.acquire()).toBeNull();
    slots[0]!.discard();
    publish(slots[1]!, 1);
    publish(slots[2]!, 2);
    await eventually('the status', () => last?.streams[0]?.framesIn === 3n);
    expect(last).toMatchObject({ service: 'producer', streams: [{ streamId: 'My_made', framesOut: 2n, width: 64, height: 48 }] });
    expect(last!.streams[0]!.state).toBe(StreamState.STREAM_STATE_PLAYING);
    expect(last!.streams[0]!.drops).toMatchObject({ pool_exhausted: 1n });
    expect(last!.pools).toMatchObject([{ streamId: 'My_made', memory: 'shm' }]);
    await producer.close();
    await eventually('the end', () => last?.streams[0]?.state === StreamState.STREAM_STATE_ENDED);
  });

  it('a frame or slot that was given back is an error, and "using" gives it back', async () => {
    const { open } = await rig();
    const bus = await open();
    const producer = await bus.producer({ stream: 'made', format: { ...FORMAT, pixelFormat: 'NV12' }, services: false });
    const frames = bus.frames('made', { hold: 1 });
    const first = frames.next();
    await eventually('the tap is open', () => Object.keys(producer.consumers()).length === 1);
    const released = expect.objectContaining({ code: 'FRAME_RELEASED' }) as Error;
    const slot = producer.acquire()!;
    const written = slot.planes[1]!;
    paint(slot.planes, 0);
    slot.publish();
    expect(() => slot.planes).toThrow(released);
    expect(() => slot.publish()).toThrow(released);
    expect(written.data).toHaveLength(0);
    let copy: Plane[];
    let view: Plane;
    {
      using frame = (await first).value!;
      expect(frame.planes).toHaveLength(2);
      view = frame.planes[0]!;
      copy = await frame.download();
      expect(copy.map(({ data }) => data)).toEqual(frame.planes.map(({ data }) => data));
    }
    expect(view.data).toHaveLength(0);
    expect(isPainted(copy, 0)).toBe(true);
    {
      using given = producer.acquire()!;
      expect(given.planes).toHaveLength(2);
    }
    publish(producer.acquire(), 1);
    const second = await next(frames);
    second.release();
    second.release();
    expect(second.valid()).toBe(false);
    expect(() => second.planes).toThrow(released);
    await expect(async () => second.download()).rejects.toThrow(released);
    await frames.close();
    expect(await frames.next()).toEqual({ done: true, value: undefined });
  });

  it('says in the log when a frame was forgotten, and the slot comes back', async () => {
    const { open } = await rig();
    const { log, text } = captureLog();
    const bus = await open({ log });
    const producer = await bus.producer({ stream: 'made', format: FORMAT, services: false });
    const frames = bus.frames('made', { hold: 1 });
    const forget = async (): Promise<void> => {
      const first = frames.next();
      await eventually('the tap is open', () => Object.keys(producer.consumers()).length === 1);
      publish(producer.acquire(), 0);
      await first;
    };
    await forget();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await eventually('the log says so', () => {
      collect();
      return text().includes('a frame was forgotten');
    });
    publish(producer.acquire(), 1);
    expect(Number((await next(frames)).seq)).toBe(1);
  });

  it('lossless: no frame is lost over changes of format and number of slots', async () => {
    const { open } = await rig();
    const [ours, theirs] = [await open(), await open()];
    const producer = await ours.producer({ stream: 'made', format: FORMAT, mode: 'lossless', services: false, slots: 8 });
    const frames = theirs.frames('made', { mode: 'lossless', hold: 2 });
    const first = frames.next();
    await eventually('the tap is open', () => Object.keys(producer.consumers()).length === 1);
    const made = (async () => {
      for (let seq = 0; seq < 60; seq++) {
        if (seq === 20) producer.setFormat({ ...FORMAT, width: 128 });
        if (seq === 40) producer.setFormat({ ...FORMAT, width: 128 }, { slots: 12 });
        publish(await producer.nextSlot(), seq);
      }
    })();
    for (let seq = 0; seq < 60; seq++) {
      const frame = seq === 0 ? (await first).value! : await next(frames);
      expect(Number(frame.seq)).toBe(seq);
      expect(frame.format.width).toBe(seq < 20 ? 64 : 128);
      expect(isPainted(frame.planes, seq)).toBe(true);
      frame.release();
    }
    await made;
    await eventually('the old pools are gone', () => producer.pools().length === 1);
    expect(producer.pools()[0]!.capacity).toBe(12);
  });

  it('loops that come and go leave nothing behind', async () => {
    const { open } = await rig();
    const [ours, theirs] = [await open(), await open()];
    const producer = await ours.producer({ stream: 'made', format: FORMAT, services: false });
    const rolling = setInterval(() => producer.acquire()?.publish(), 2);
    onTestFinished(() => {
      clearInterval(rolling);
    });
    for (let round = 0; round < 30; round++) {
      const frames = theirs.frames('made', { mode: round % 2 === 0 ? 'lossless' : 'latest' });
      for (let n = 0; n < 3; n++) (await next(frames)).release();
      await frames.close();
    }
    await eventually('no group is left', () => producer.pools().every(({ groups }) => groups.length === 0));
    expect(producer.pools()[0]!.consumers).toEqual([]);
  });

  it('a loop goes on when the producer is made anew', async () => {
    const { open } = await rig();
    const theirs = await open();
    const frames = theirs.frames('made');
    let pending = frames.next();
    for (const round of [1, 2]) {
      const ours = await open();
      const producer = await ours.producer({ stream: 'made', format: FORMAT, services: false });
      await eventually('the tap is open', () => Object.keys(producer.consumers()).length === 1);
      publish(producer.acquire(), 0);
      const frame = (await pending).value!;
      expect(Number(frame.seq)).toBe(0);
      frame.release();
      pending = frames.next();
      await ours.close();
      expect(frames.counters.delivered).toBe(round);
    }
    await theirs.close();
    expect((await pending).done).toBe(true);
  });

  it('refuses what it cannot do, by name', async () => {
    const { open } = await rig();
    const bus = await open();
    const code = (value: string): Error => expect.objectContaining({ code: value }) as Error;
    await bus.producer({ stream: 'made', format: FORMAT });
    await expect(bus.producer({ stream: 'made', format: FORMAT })).rejects.toThrow(code('BUS_IN_USE'));
    await expect(bus.producer({ stream: 'odd', format: { ...FORMAT, width: 63 } })).rejects.toThrow(code('OPTION_INVALID'));
    await expect(bus.producer({ stream: 'a.b', format: FORMAT })).rejects.toThrow(code('OPTION_INVALID'));
    expect(() => bus.frames('made', { hold: 0 })).toThrow(code('OPTION_INVALID'));
    expect(() => bus.frames('made', { group: 'a.b' })).toThrow(code('OPTION_INVALID'));
    await expect(openBus({})).rejects.toThrow(code('OPTION_INVALID'));
    await bus.close();
    expect(() => bus.frames('made')).toThrow(code('BUS_CLOSED'));
    await expect(bus.producer({ stream: 'later', format: FORMAT })).rejects.toThrow(code('BUS_CLOSED'));
  });
});
