import { describe, expect, it } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { CaptureTimeSource } from '#proto/framebus/frame/v1/frame.js';
import type { StreamStatus } from '#proto/framebus/status/v1/status.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { addHeavyModel } from '../helpers/heavy_model.js';
import { Pipeline, type ServiceName } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const STREAMS = ['gate', 'yard', 'hall', 'dock'];
/** Why a frame was not looked at. */
const REASONS = ['skipped', 'overloaded', 'superseded', 'expired', 'worker_lost', 'failed'] as const;
/** Pictures that the encoder may leave out on a busy machine. */
const FEW = 5;

const live = (model: string): Record<string, unknown> => ({ source: SAMPLE_CLIP, loop: true, model });

/** What is counted of all streams in one service, and when. */
interface Reading {
  seconds: number;
  of: (count: (stream: StreamStatus) => bigint) => number;
}

function read(pipeline: Pipeline, service: ServiceName): Reading {
  const status = pipeline.status(service);
  const streams = status?.streams ?? [];
  return {
    seconds: Number(status?.unixNs ?? 0n) / 1e9,
    of: (count) => streams.reduce((sum, stream) => sum + Number(count(stream)), 0),
  };
}

/** Events a second between two readings. */
const rate = (from: Reading, to: Reading, count: (stream: StreamStatus) => bigint): number =>
  (to.of(count) - from.of(count)) / (to.seconds - from.seconds);

/** Seconds that the engine has worked. */
async function engineSeconds(pipeline: Pipeline): Promise<number> {
  const http = pipeline.status('infer')?.addresses['http'] ?? '';
  const metrics = await (await fetch(`${http}/metrics`)).text();
  const line = metrics.split('\n').find((text) => text.startsWith('framebus_infer_batch_seconds_sum{') && text.includes('step="engine"'));
  return Number(line?.split(' ').at(-1));
}

describe('three times as many frames as the engine can look at', () => {
  it('the video keeps its rate, detection takes what fits, and every other frame is counted with its reason', async () => {
    const models = tempFolder();
    await addHeavyModel(models, 'heavy', 100);
    const pipeline = await Pipeline.create({
      models: { directory: models },
      infer: { threads: 1, executors: 1, batch: { size: 2 } },
      sink: { encode: { preset: 'ultrafast', threads: 1 } },
      streams: Object.fromEntries(STREAMS.map((id) => [id, live('heavy')])),
    });
    await pipeline.runAll();
    const inferred = (): number => read(pipeline, 'infer').of((stream) => stream.framesInferred);
    await eventually(() => `20 frames inferred\n${pipeline.output()}`, () => inferred() >= 20, { timeoutMs: 90_000 });

    const from = { ingest: read(pipeline, 'ingest'), infer: read(pipeline, 'infer'), sink: read(pipeline, 'sink'), engine: await engineSeconds(pipeline) };
    const fromMs = performance.now();
    await eventually(() => `60 more\n${pipeline.output()}`, () => inferred() >= 80, { timeoutMs: 120_000 });
    const to = { ingest: read(pipeline, 'ingest'), infer: read(pipeline, 'infer'), sink: read(pipeline, 'sink'), engine: await engineSeconds(pipeline) };
    const busy = (to.engine - from.engine) / ((performance.now() - fromMs) / 1_000);
    const demand = rate(from.ingest, to.ingest, (stream) => stream.framesIn);
    const fits = rate(from.infer, to.infer, (stream) => stream.framesInferred);
    const encoded = rate(from.sink, to.sink, (stream) => stream.framesOut);
    const text = `${demand.toFixed(1)} frames/s decoded, ${fits.toFixed(1)} inferred, ${encoded.toFixed(1)} encoded, engine busy ${busy.toFixed(2)}`;
    expect(demand, text).toBeGreaterThanOrEqual(3 * fits);
    // An engine that rests while frames are passed over would take less than what fits.
    expect(busy, text).toBeGreaterThan(0.7);
    // Statuses come once a second, and not together; what counts to the frame follows below.
    expect(encoded, text).toBeGreaterThan(0.75 * demand);

    // All cameras run at one rate: whoever comes first in a round would come first in each.
    const shares = STREAMS.map((id) => Number(pipeline.stream('sink', id)?.framesInferred ?? 0n));
    expect(Math.min(...shares), String(shares)).toBeGreaterThan(Math.max(...shares) / 2);

    pipeline.process('ingest-0').kill('SIGTERM');
    await pipeline.process('ingest-0').exitCode();
    for (const record of pipeline.records) expectStages(record);
    for (const id of STREAMS) await expectCounted(pipeline, id);
  }, 300_000);
});

const WITH_EVERYBODY = ['dispatchNs', 'transportNs', 'reorderNs', 'trackingNs'];
const WITH_WORKERS = ['batchNs', 'preprocessNs', 'engineNs', 'decodeNs', 'refineNs'];

/** The stages of a record are those that its frame came by, and add up to its latency. */
function expectStages({ streamId, seq, status, latencyNs, stages, captureTime }: DetectionRecord): void {
  const spent = Object.entries(stages ?? {}).filter((entry): entry is [string, bigint] => entry[1] !== undefined);
  const text = `${streamId} #${seq} ${status}: ${spent.map(([name, ns]) => `${name} ${ns}`).join(', ')}`;
  const names = status === InferenceStatus.INFERENCE_STATUS_INFERRED ? [...WITH_EVERYBODY, ...WITH_WORKERS] : WITH_EVERYBODY;
  // A worker may have had it, and given it up.
  const isGivenUp = status === InferenceStatus.INFERENCE_STATUS_EXPIRED || status === InferenceStatus.INFERENCE_STATUS_FAILED;
  expect(spent.map(([name]) => name).filter((name) => !(isGivenUp && name === 'batchNs')).toSorted(), text).toEqual(names.toSorted());
  expect(spent.every(([, ns]) => ns >= 0n), text).toBe(true);
  expect(spent.reduce((sum, [, ns]) => sum + ns, 0n), text).toBe(latencyNs);
  // Of a file, the time of capture says nothing.
  expect(captureTime?.source, text).toBe(CaptureTimeSource.CAPTURE_TIME_SOURCE_FILE);
}

/** decoded = inferred + reasons, to the frame, in sink's counters and in its records; and the video is whole. */
async function expectCounted(pipeline: Pipeline, id: string): Promise<void> {
  const numbers = (): { decoded: number; looked: number; reasons: number; records: number; encoded: number; text: string } => {
    const [ingest, sink] = [pipeline.stream('ingest', id), pipeline.stream('sink', id)];
    const drops = (of: StreamStatus | undefined, reason: string): number => Number(of?.drops[reason] ?? 0n);
    const looked = Number(sink?.framesInferred ?? 0n);
    const reasons = REASONS.reduce((sum, reason) => sum + drops(sink, reason), 0) + drops(ingest, 'pool_exhausted');
    const records = pipeline.records.filter(({ streamId }) => streamId === id).length + drops(sink, 'late');
    const decoded = Number(ingest?.framesIn ?? 0n) - drops(ingest, 'pool_exhausted');
    const text = `${id}: ${JSON.stringify({ ingest, sink }, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))}`;
    return { decoded, looked, reasons, records, encoded: Number(sink?.framesOut ?? 0n), text };
  };
  await eventually(
    () => `an answer for each frame of ${id}: ${numbers().text}`,
    () => {
      const { decoded, looked, reasons, records } = numbers();
      return decoded === looked + reasons && decoded === records;
    },
  );
  const { decoded, looked, encoded, text } = numbers();
  expect(looked, text).toBeGreaterThan(0);
  expect(pipeline.stream('sink', id)?.drops['duplicate'] ?? 0n, text).toBe(0n);
  await eventually(() => `pictures of ${id}: ${numbers().text}`, () => numbers().encoded >= decoded - FEW);
  expect(encoded, text).toBeLessThanOrEqual(decoded);
}
