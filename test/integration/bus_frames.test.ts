import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openBus, type Bus, type Frame, type Frames, type FramesOptions, type Revocation } from '../../lib/bus.js';
import type { Log } from '../../lib/log.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { Pipeline, type PipelineOptions } from '../helpers/pipeline.js';

const CAMERA = { source: SAMPLE_CLIP, loop: true, model: null, memory: 'shm' };
/** A file that never ends, as fast as somebody takes it. */
const TAPE = { ...CAMERA, pace: 'fast' };

/** A pipeline with one stream, "gate", of which only ingest runs. */
async function ingest(options: Partial<PipelineOptions> & { stream?: object } = {}): Promise<Pipeline> {
  const { stream = CAMERA, ...rest } = options;
  // No sink is there to take its frames; they shall not wait for one for long.
  const pipeline = await Pipeline.create({ streams: { gate: { ...stream } }, ingest: { delivery_ttl: '20ms' }, ...rest });
  await pipeline.run('ingest');
  return pipeline;
}

/** The bus as a program next to the services has it. */
async function bus(pipeline: Pipeline, log?: Log): Promise<Bus> {
  const opened = await openBus({ config: pipeline.config, name: 'test', ...(log && { log }) });
  onTestFinished(() => opened.close());
  return opened;
}

/** Loops over frames in the background. */
class Reader {
  readonly seqs: number[] = [];
  readonly sizes: string[] = [];
  readonly frames: Frames;
  readonly done: Promise<void>;
  error: unknown;

  constructor(opened: Bus, options: FramesOptions, each: (frame: Frame) => unknown = () => undefined) {
    this.frames = opened.frames('gate', options);
    this.done = this.#run(each).catch((error: unknown) => {
      this.error = error;
    });
  }

  async #run(each: (frame: Frame) => unknown): Promise<void> {
    for await (const frame of this.frames) {
      this.seqs.push(Number(frame.seq));
      this.sizes.push(`${frame.format.width}x${frame.format.height}`);
      await each(frame);
      frame.release();
    }
  }

  async has(count: number): Promise<void> {
    await eventually(
      () => `${count} frames; there are ${this.seqs.length}, ${String(this.error)}, ${JSON.stringify(this.frames.counters)}`,
      () => this.seqs.length >= count,
      { timeoutMs: 60_000 },
    );
  }
}

const range = (seqs: readonly number[]): number[] => seqs.map((_, i) => (seqs[0] ?? 0) + i);

describe('bus.frames', () => {
  it('latest: a slow loop gets the newest frame, and what went by is counted', async () => {
    const pipeline = await ingest();
    const reader = new Reader(await bus(pipeline), {}, () => sleep(450));
    await reader.has(6);
    await reader.frames.close();
    await reader.done;
    const { delivered, displaced, stale, quota } = reader.frames.counters;
    expect(delivered).toBe(reader.seqs.length);
    const gone = reader.seqs.at(-1)! - reader.seqs[0]! + 1 - delivered;
    expect(gone).toBeGreaterThan(10);
    // The last ones may have gone by after the last frame that was given out.
    expect(displaced + stale + quota - gone).toBeGreaterThanOrEqual(0);
    expect(displaced + stale + quota - gone).toBeLessThan(6);
    // At 10 frames a second and 450 ms a frame, 4 or 5 go by each time.
    for (let i = 1; i < reader.seqs.length; i++) {
      expect(reader.seqs[i]! - reader.seqs[i - 1]!).toBeLessThanOrEqual(7);
    }
  });

  it('lossless: every frame once and in order; the file waits', async () => {
    const pipeline = await ingest({ stream: TAPE });
    const reader = new Reader(await bus(pipeline), { mode: 'lossless' }, () => sleep(3));
    await reader.has(100);
    const [inBefore, gotBefore] = [pipeline.stream('ingest', 'gate')!, reader.seqs.length];
    await reader.has(500);
    const now = pipeline.stream('ingest', 'gate')!;
    await reader.frames.close();
    await reader.done;
    expect(reader.seqs).toEqual(range(reader.seqs));
    expect(reader.frames.counters).toEqual({ delivered: reader.seqs.length, displaced: 0, stale: 0, quota: 0, revoked: 0 });
    expect(now.drops['pool_exhausted'] ?? 0n).toBe(inBefore.drops['pool_exhausted'] ?? 0n);
    // Statuses come once a second, so they lag behind.
    expect(Number(now.framesIn - inBefore.framesIn)).toBeLessThan(reader.seqs.length - gotBefore + 400);
  });
});
