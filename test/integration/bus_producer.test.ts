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
});
