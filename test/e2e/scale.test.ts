import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { decodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ConsumerStatus } from '#proto/framebus/status/v1/status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { addHeavyModel } from '../helpers/heavy_model.js';
import { natsClient } from '../helpers/nats.js';
import { Pipeline } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const {
  INFERENCE_STATUS_INFERRED: INFERRED,
  INFERENCE_STATUS_WORKER_LOST: WORKER_LOST,
  INFERENCE_STATUS_EXPIRED: EXPIRED,
  INFERENCE_STATUS_FAILED: FAILED,
} = InferenceStatus;
const STREAMS = ['gate', 'yard', 'hall', 'dock'];
/** Frames of the sample clip. */
const CLIP_FRAMES = 795;
const BATCH = 4;

interface Scene {
  pipeline: Pipeline;
  /** All that was said of a frame, to sink. */
  results: ResultMessage[];
}

/** ingest and sink, and one worker of a model that takes so long a frame, so that more workers mean more. */
async function create(streams: Record<string, Record<string, unknown>>, frameMs: number): Promise<Scene> {
  const models = tempFolder();
  await addHeavyModel(models, 'heavy', frameMs);
  const pipeline = await Pipeline.create({
    models: { directory: models },
    infer: { threads: 1, executors: 1, batch: { size: BATCH } },
    sink: { encode: { preset: 'ultrafast', threads: 1 }, reorder: { deadline: '5s' } },
    defaults: { model: 'heavy' },
    streams,
  });
  const results: ResultMessage[] = [];
  const client = await natsClient(pipeline.nats.url, 'results');
  client.subscribe(subjects.ALL_RESULTS, { callback: (_error, message) => results.push(decodeResult(message.data)) });
  await client.flush();
  await pipeline.runAll();
  return { pipeline, results };
}

const live = (): Record<string, Record<string, unknown>> =>
  Object.fromEntries(STREAMS.map((id) => [id, { source: SAMPLE_CLIP, loop: true }]));

/** Frames that a worker has looked at so far. */
const inferredBy = (pipeline: Pipeline, name: string): number =>
  (pipeline.status('infer', name)?.streams ?? []).reduce((sum, { framesInferred }) => sum + Number(framesInferred), 0);

/** Waits until each of these workers has looked at so many more frames. */
async function eachWorks(pipeline: Pipeline, names: readonly string[], frames: number): Promise<void> {
  const from = new Map(names.map((name) => [name, inferredBy(pipeline, name)]));
  await eventually(
    () => `${frames} more frames from each of ${names.join(', ')}\n${pipeline.output()}`,
    () => names.every((name) => inferredBy(pipeline, name) >= (from.get(name) ?? 0) + frames),
    { timeoutMs: 90_000 },
  );
}

/** Kills a worker at a moment at which it holds frames, and says how many. */
async function killWithFrames(pipeline: Pipeline, name: string): Promise<number> {
  const worker = pipeline.process(name);
  const consumers = (): ConsumerStatus[] => (pipeline.status('ingest')?.pools ?? []).flatMap((pool) => pool.consumers);
  const held = (): number => consumers().reduce((sum, { consumer, held: count }) => sum + (consumer === name ? count : 0), 0);
  await eventually(
    () => `${name} with frames in its hands\n${pipeline.output()}`,
    async () => {
      worker.kill('SIGSTOP');
      // The second status from now on was certainly written after it had stopped.
      for (let count = 0; count < 2; count++) {
        const before = pipeline.status('ingest')?.unixNs;
        await eventually('a status of ingest', () => pipeline.status('ingest')?.unixNs !== before);
      }
      if (held() > 0) return true;
      worker.kill('SIGCONT');
      return false;
    },
    { timeoutMs: 60_000 },
  );
  worker.kill('SIGKILL');
  await worker.exitCode();
  return held();
}

const keyOf = (frame: FrameDescriptor | undefined): string => `${frame?.streamId} ${frame?.epoch?.uuid} ${frame?.seq}`;

/** What was said of each frame, in the order in which it was said. */
function answers(results: readonly ResultMessage[]): Map<string, InferenceStatus[]> {
  const byFrame = new Map<string, InferenceStatus[]>();
  for (const { frame, status } of results) {
    const said = byFrame.get(keyOf(frame)) ?? [];
    byFrame.set(keyOf(frame), [...said, status]);
  }
  return byFrame;
}

/** Frames that have more than one answer. */
const answeredTwice = (results: readonly ResultMessage[]): InferenceStatus[][] =>
  [...answers(results).values()].filter((said) => said.length > 1);

/** One record for each frame, in order, or a drop that is counted. A second answer to a frame is dropped, too. */
async function expectAccounted({ pipeline, results }: Scene, id: string): Promise<void> {
  const records = (): bigint[] => pipeline.records.flatMap(({ streamId, seq }) => (streamId === id ? seq : []));
  await eventually(
    () => `a record or a reason for every frame of ${id}: ${records().length} records, ${text(pipeline, id)}`,
    () => {
      const [ingest, sink] = [pipeline.stream('ingest', id), pipeline.stream('sink', id)];
      const dropped = (sink?.drops['late'] ?? 0n) + (sink?.drops['duplicate'] ?? 0n) + (ingest?.drops['pool_exhausted'] ?? 0n);
      const seconds = answeredTwice(results.filter(({ frame }) => frame?.streamId === id)).flatMap((said) => said.slice(1)).length;
      return ingest !== undefined && ingest.framesIn + BigInt(seconds) === BigInt(records().length) + dropped;
    },
    { timeoutMs: 30_000 },
  );
  const seqs = records();
  expect(seqs, id).toEqual([...new Set(seqs)].toSorted((a, b) => (a < b ? -1 : 1)));
}

const text = (pipeline: Pipeline, id: string): string =>
  JSON.stringify([pipeline.stream('ingest', id), pipeline.stream('sink', id)], (_, value: unknown) =>
    typeof value === 'bigint' ? Number(value) : value,
  );

describe('workers that come and go', () => {
  it('1, 3, 1 at cameras: order holds, no frame is lost, none is looked at twice', async () => {
    const scene = await create(live(), 40);
    const { pipeline, results } = scene;
    await eachWorks(pipeline, ['infer-0'], 20);
    await Promise.all([pipeline.run('infer', 'infer-1'), pipeline.run('infer', 'infer-2')]);
    await eachWorks(pipeline, ['infer-0', 'infer-1', 'infer-2'], 10);
    const held = await killWithFrames(pipeline, 'infer-1');
    await eachWorks(pipeline, ['infer-0', 'infer-2'], 10);
    pipeline.process('infer-2').kill('SIGTERM');
    expect(await pipeline.process('infer-2').exitCode(), pipeline.process('infer-2').stderr).toBe(0);
    await eachWorks(pipeline, ['infer-0'], 20);
    pipeline.process('ingest-0').kill('SIGTERM');
    await pipeline.process('ingest-0').exitCode();
    for (const id of STREAMS) await expectAccounted(scene, id);

    const lost = results.filter(({ status }) => status === WORKER_LOST).length;
    expect(lost).toBe(held);
    // The one that was killed may have answered for frames that it still held.
    const twice = answeredTwice(results);
    expect(twice.every((said) => said.length === 2 && said.includes(WORKER_LOST)), JSON.stringify(twice)).toBe(true);
    expect(twice.length).toBeLessThanOrEqual(held);
  }, 300_000);

  it('1, 3, 1 at a file that is played without loss: every frame is looked at, in order', async () => {
    const scene = await create({ file: { source: SAMPLE_CLIP, mode: 'lossless', pace: 'fast' } }, 30);
    const { pipeline, results } = scene;
    await eachWorks(pipeline, ['infer-0'], 20);
    await Promise.all([pipeline.run('infer', 'infer-1'), pipeline.run('infer', 'infer-2')]);
    await eachWorks(pipeline, ['infer-0', 'infer-1', 'infer-2'], 20);
    const held = await killWithFrames(pipeline, 'infer-1');
    await eachWorks(pipeline, ['infer-0', 'infer-2'], 20);
    pipeline.process('infer-2').kill('SIGTERM');
    expect(await pipeline.process('infer-2').exitCode(), pipeline.process('infer-2').stderr).toBe(0);
    await eventually(
      () => `${CLIP_FRAMES} records; there are ${pipeline.records.length} ${text(pipeline, 'file')}\n${pipeline.output()}`,
      () => pipeline.records.length >= CLIP_FRAMES,
      { timeoutMs: 150_000 },
    );
    expect(pipeline.records.map(({ seq }) => seq)).toEqual(Array.from({ length: CLIP_FRAMES }, (_, seq) => BigInt(seq)));
    expect(new Set(pipeline.records.map(({ status }) => status))).toEqual(new Set([INFERRED]));
    // What the killed worker had answered for and not let go was looked at once more; sink dropped it.
    const twice = answeredTwice(results);
    expect(twice.length).toBeLessThanOrEqual(held);
  }, 300_000);
});

describe('one of two workers, stopped for ten seconds', () => {
  it('costs what it had in its hands; the other goes on with all cameras, and it comes back by itself', async () => {
    const scene = await create(live(), 40);
    const { pipeline, results } = scene;
    await pipeline.run('infer', 'infer-1');
    await eachWorks(pipeline, ['infer-0', 'infer-1'], 20);
    const stopped = pipeline.process('infer-1');
    const from = results.length;
    stopped.kill('SIGSTOP');
    await sleep(10_000);
    const meanwhile = results.slice(from);
    stopped.kill('SIGCONT');
    await eachWorks(pipeline, ['infer-0', 'infer-1'], 20);
    pipeline.process('ingest-0').kill('SIGTERM');
    await pipeline.process('ingest-0').exitCode();
    for (const id of STREAMS) await expectAccounted(scene, id);

    const inferred = (id: string): number => meanwhile.filter(({ frame, status }) => frame?.streamId === id && status === INFERRED).length;
    const shares = STREAMS.map(inferred);
    // Nobody else looks at this many frames of a stream in ten seconds than the one that goes on.
    expect(Math.min(...shares), `inferred while it was stopped: ${String(shares)}`).toBeGreaterThan(5);
    const lost = [...answers(results.slice(from)).values()].filter((said) => !said.includes(INFERRED) && said.some((status) => [WORKER_LOST, EXPIRED, FAILED].includes(status)));
    // A batch that is being worked on, or whose results are on their way, and the next one.
    expect(lost.length, JSON.stringify(lost)).toBeLessThanOrEqual(2 * BATCH);
  }, 300_000);
});
