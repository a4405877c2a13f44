import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StreamState } from '#proto/framebus/status/v1/status.js';
import { NatsServer } from '../../cli/nats_server.js';
import { openBus, type Bus, type Frame, type Frames, type FramesOptions, type Revocation } from '../../lib/bus.js';
import type { Log } from '../../lib/log.js';
import { hasTestData, SAMPLE_CLIP, TEST_DATA } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { natsServer } from '../helpers/nats.js';
import { Pipeline, type PipelineOptions } from '../helpers/pipeline.js';
import { runNode, type TestProcess } from '../helpers/process.js';
import { tempFile, tempFolder } from '../helpers/temp.js';

const CAMERA = { source: SAMPLE_CLIP, loop: true, model: null, memory: 'shm' };
/** A file that never ends, as fast as somebody takes it. */
const TAPE = { ...CAMERA, pace: 'fast' };

/** A pipeline with one stream, "gate", of which only ingest runs. */
async function ingest(options: Partial<PipelineOptions> & { stream?: object } = {}): Promise<Pipeline> {
  const { stream = CAMERA, ...rest } = options;
  const pipeline = await Pipeline.create({ streams: { gate: { ...stream } }, ...rest });
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

  it('lossless: members of a group share the frames; what a killed one had comes to the other', async () => {
    // Frames that wait are sent again at once: nobody gets one twice.
    const pipeline = await ingest({ stream: TAPE, ingest: { delivery_ttl: '20ms' } });
    const read = (): TestProcess => runNode(['test/fixtures/frames_reader.mjs', pipeline.config, 'both', 'lossless']);
    const seqs = ({ stdout }: TestProcess, what: 'got' | 'done'): number[] =>
      [...stdout.matchAll(new RegExp(`^${what} (\\d+)$`, 'gm'))].map(([, seq]) => Number(seq));
    const [one, other] = [read(), read()];
    const both = (): string => `${one.stderr}${other.stderr}${pipeline.output()}`;
    await eventually(both, () => seqs(one, 'got').length > 50 && seqs(other, 'got').length > 50);
    one.child.send('keep');
    const kept = Number((await one.output(/^keeps (\d+)$/m))[1]);
    one.kill('SIGKILL');
    await one.exitCode();
    const last = Math.max(...seqs(one, 'got'));
    await eventually(both, () => Math.min(...seqs(other, 'got').slice(-20)) > last + 100, { timeoutMs: 30_000 });

    const finished = seqs(one, 'done');
    const taken = seqs(other, 'got');
    expect(new Set(taken).size).toBe(taken.length);
    expect(finished.filter((seq) => taken.includes(seq))).toEqual([]);
    expect(taken).toContain(kept);
    const all = [...finished, ...taken].toSorted((a, b) => a - b);
    expect(all.filter((seq) => seq <= last + 100)).toEqual(range(all.filter((seq) => seq <= last + 100)));
    // Each got its own frames in order, but for what the dead one left.
    const own = taken.filter((seq) => seq > last + 10);
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  });

  it('waits for a stream that nobody publishes, says so once, and ends with its signal', async () => {
    const { url } = await natsServer();
    const { log, lines } = captureLog('warn');
    const opened = await openBus({ nats: url, directory: tempFolder(), log });
    onTestFinished(() => opened.close());
    const stop = new AbortController();
    const reader = new Reader(opened, { signal: stop.signal });
    await sleep(1_500);
    expect(lines.map(({ msg }) => msg)).toEqual(['stream gate: nobody publishes it yet, or any more; waiting']);
    stop.abort();
    await reader.done;
    expect(reader.error).toBeUndefined();
    expect(reader.seqs).toEqual([]);
  });

  it('closes while NATS is away', async () => {
    const server = await NatsServer.start();
    const opened = await openBus({ nats: server.url, directory: tempFolder(), log: captureLog().log });
    const producer = await opened.producer({ stream: 'made', format: { width: 64, height: 48 }, mode: 'lossless', services: false });
    const reader = new Reader(opened, {});
    await sleep(100);
    (await producer.nextSlot()).publish();
    await server.close();
    await sleep(200);
    const started = performance.now();
    await opened.close();
    await reader.done;
    // Not for ever, as it would if it waited for NATS.
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(reader.error).toBeUndefined();
  });

  it('is refused with a wrong token, and says so', async () => {
    const token = tempFile('token', 'what everybody knows\n');
    const pipeline = await ingest({ bus: { token_file: token } });
    const right = new Reader(await bus(pipeline), {});
    await right.has(3);
    const wrong = await openBus({ nats: pipeline.nats.url, directory: pipeline.busDirectory, token: 'guessed' });
    onTestFinished(() => wrong.close());
    const reader = new Reader(wrong, {});
    await reader.done;
    expect(reader.error).toMatchObject({ name: 'FramebusError', code: 'BUS_REFUSED' });
    expect(reader.seqs).toEqual([]);
  });

  it('is refused what the pool cannot spare, with the numbers, a group in another mode, and a stream that ingest has', async () => {
    const pipeline = await ingest();
    const opened = await bus(pipeline);
    // Two are left then: a default loop makes do with what there is.
    const modest = new Reader(opened, { hold: 2 });
    await modest.has(1);
    const other = new Reader(opened, { mode: 'lossless' });
    await other.has(3);
    await Promise.all([modest.frames.close(), other.frames.close()]);
    const greedy = new Reader(opened, { hold: 15 });
    await greedy.done;
    expect(greedy.error).toMatchObject({ code: 'BUS_ADMISSION' });
    expect(String(greedy.error)).toMatch(/15/);
    const latest = new Reader(opened, { group: 'g' });
    await latest.has(1);
    const lossless = new Reader(opened, { group: 'g', mode: 'lossless' });
    await lossless.done;
    expect(lossless.error).toMatchObject({ code: 'TAP_REFUSED' });
    const own = opened.producer({ stream: 'gate', format: { width: 64, height: 48 } });
    await expect(own).rejects.toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    const sink = new Reader(opened, { group: 'sink' });
    await sink.done;
    expect(sink.error).toMatchObject({ code: 'TAP_REFUSED' });
  });

  it('leaving the loop takes the group off the route; a frame that is held stays good', async () => {
    const pipeline = await ingest();
    const opened = await bus(pipeline);
    const groups = (): string[] => pipeline.status('ingest')?.pools.flatMap((pool) => pool.groups.map(({ name }) => name)) ?? [];
    let kept: Frame | undefined;
    for await (const frame of opened.frames('gate', { group: 'short' })) {
      await eventually('the group is on the route', () => groups().includes('short'));
      kept = frame;
      break;
    }
    await eventually('the group is off the route', () => !groups().includes('short'));
    expect(kept!.valid()).toBe(true);
    const before = Uint8Array.from(kept!.planes[0]!.data);
    await sleep(3_000);
    expect(kept!.planes[0]!.data).toEqual(before);
    kept!.release();
    expect(kept!.valid()).toBe(false);
    expect(() => kept!.planes).toThrow(expect.objectContaining({ code: 'FRAME_RELEASED' }) as Error);
  });

  it('lossless: loses and repeats nothing when NATS is restarted', async () => {
    const pipeline = await ingest({ stream: TAPE });
    const reader = new Reader(await bus(pipeline), { mode: 'lossless' }, () => sleep(1));
    await reader.has(50);
    const { port } = new URL(pipeline.nats.url);
    await pipeline.nats.close();
    await sleep(500);
    await natsServer({ port: Number(port) });
    await reader.has(reader.seqs.length + 200);
    await reader.frames.close();
    expect(reader.seqs).toEqual(range(reader.seqs));
    expect(reader.frames.counters).toMatchObject({ displaced: 0, stale: 0 });
  });

  it('takes up a restarted ingest, and a restarted NATS', async () => {
    const pipeline = await ingest();
    const reader = new Reader(await bus(pipeline), {});
    await reader.has(5);
    pipeline.process('ingest-0').kill('SIGKILL');
    await pipeline.process('ingest-0').exitCode();
    await pipeline.run('ingest');
    await reader.has(reader.seqs.length + 10);
    const { port } = new URL(pipeline.nats.url);
    await pipeline.nats.close();
    await sleep(500);
    await natsServer({ port: Number(port) });
    await reader.has(reader.seqs.length + 10);
    expect(reader.error).toBeUndefined();
  });

  it.skipIf(!hasTestData('video/robust/vpf_test_res_change.h264'))(
    'follows a change of format, and the stream ends with its last frame taken',
    async () => {
      const file = join(TEST_DATA, 'video', 'robust', 'vpf_test_res_change.h264');
      const pipeline = await Pipeline.create({
        streams: { gate: { source: file, model: null, memory: 'shm', no_frame_timeout: '1m' } },
      });
      const reader = new Reader(await bus(pipeline), { mode: 'lossless' }, () => sleep(2));
      await sleep(300);
      await pipeline.run('ingest');
      await eventually('the end', () => pipeline.stream('ingest', 'gate')?.state === StreamState.STREAM_STATE_ENDED, { timeoutMs: 60_000 });
      const decoded = Number(pipeline.stream('ingest', 'gate')!.framesIn);
      await reader.has(decoded - reader.seqs[0]!);
      expect(reader.seqs).toEqual(range(reader.seqs));
      expect(reader.seqs.at(-1)).toBe(decoded - 1);
      expect(new Set(reader.sizes).size).toBeGreaterThan(1);
    },
  );

  it('what is kept for longer than the lease deadline is taken back; lossless frames come again', async () => {
    const pipeline = await ingest({ bus: { lease_deadline: '500ms' }, stream: TAPE });
    const revocations: Revocation[] = [];
    let kept: Frame | undefined;
    const options: FramesOptions = { mode: 'lossless', onRevoked: (revocation) => revocations.push(revocation) };
    const reader = new Reader(await bus(pipeline), options, async (frame) => {
      if (kept !== undefined || reader.seqs.length < 20) return;
      kept = frame;
      await eventually('the revocation', () => revocations.length > 0);
      expect(frame.valid()).toBe(false);
      expect(() => frame.planes).toThrow(expect.objectContaining({ code: 'LEASE_REVOKED' }) as Error);
    });
    await reader.has(100);
    await reader.frames.close();
    await reader.done;
    expect(revocations).toMatchObject([{ producer: 'ingest-0', frames: 1 }]);
    expect(reader.frames.counters).toMatchObject({ revoked: 1, displaced: 0 });
    const twice = reader.seqs.filter((seq, i) => reader.seqs.indexOf(seq) !== i);
    expect(twice).toEqual([Number(kept!.seq)]);
    expect([...new Set(reader.seqs)]).toEqual(range([...new Set(reader.seqs)]));
  });
});
