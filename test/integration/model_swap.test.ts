import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf, messageOf } from '../../lib/errors.js';
import { MODELS_DIRECTORY } from '../../models/find.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { hasTestData, SAMPLE_CLIP } from '../helpers/data.js';
import { dataModels } from '../helpers/data_models.js';
import { eventually } from '../helpers/eventually.js';
import { collectResults, inferredOf, isReady, modelClient, PATIENCE, servedBy, untilServed, writeBoxModel } from '../helpers/live_models.js';
import { Pipeline } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const SSDLITE = 'ssdlite-mobilenet-v2';
const INFERRED = InferenceStatus.INFERENCE_STATUS_INFERRED;
/** What becomes of a camera's frame: looked at, or not because there was too much to do. */
const ACCOUNTED = new Set([
  INFERRED,
  InferenceStatus.INFERENCE_STATUS_OVERLOADED,
  InferenceStatus.INFERENCE_STATUS_SUPERSEDED,
  InferenceStatus.INFERENCE_STATUS_EXPIRED,
]);
/** Frames of the sample clip. */
const CLIP_FRAMES = 795;
const LIMITS = { timeoutMs: 90_000 };

const live = { source: SAMPLE_CLIP, loop: true };
const file = { source: SAMPLE_CLIP, mode: 'lossless', pace: 'fast' };

/** The same thing again and again is one. */
const runs = (names: readonly string[]): string[] => names.filter((name, index) => name !== names[index - 1]);

/** Records of a stream, in the order in which sink sent them. */
const recordsOf = (pipeline: Pipeline, streamId: string): DetectionRecord[] => pipeline.records.filter((record) => record.streamId === streamId);

interface Batch {
  model: string;
  startedNs: bigint;
  endedNs: bigint;
}

/** The batches that results came from, by their start. */
function batchesOf(results: readonly ResultMessage[]): Batch[] {
  const byStart = new Map<bigint, Batch>();
  for (const { model, status, times } of results) {
    if (status !== INFERRED || times === undefined) continue;
    byStart.set(times.startedNs, { model, startedNs: times.startedNs, endedNs: times.decodedNs });
  }
  return [...byStart.values()].toSorted((a, b) => Number(a.startedNs - b.startedNs));
}

/** Milliseconds for which no batch ran before each one. */
function idleBeforeMs(batches: readonly Batch[]): number[] {
  let endedNs = batches[0]?.startedNs ?? 0n;
  return batches.map((batch) => {
    const idleMs = Math.max(0, Number(batch.startedNs - endedNs) / 1e6);
    if (batch.endedNs > endedNs) endedNs = batch.endedNs;
    return idleMs;
  });
}

/** Most frames in a row that nobody looked at: around changes of the model, and elsewhere. */
function longestBlind(records: readonly DetectionRecord[]): { around: number; elsewhere: number } {
  const longest = { around: 0, elsewhere: 0 };
  let [blind, model] = [0, ''];
  for (const record of records) {
    if (record.status !== INFERRED) {
      blind += 1;
      continue;
    }
    const where = model !== '' && model !== record.model ? 'around' : 'elsewhere';
    longest[where] = Math.max(longest[where], blind);
    [blind, model] = [0, record.model];
  }
  return longest;
}

/** Seconds between results of the same frame. */
function secondsBetweenTwins(results: readonly ResultMessage[]): number[] {
  return results.flatMap((result, index) => {
    const before = results[index - 1];
    if (before?.frame?.seq !== result.frame?.seq) return [];
    return Math.abs(Number((result.times?.decodedNs ?? 0n) - (before?.times?.decodedNs ?? 0n)) / 1e9);
  });
}

describe('a swap under load', () => {
  it('loses no frame and pauses nothing: two cameras and a file, to models of other sizes and batches', async () => {
    const folder = dataModels();
    writeBoxModel(folder, 'boxes', 'person', { side: 96, batch: 4 });
    const steps = hasTestData('models/yolox_nano_416.onnx') ? ['yolox-nano-416', 'boxes'] : ['boxes'];
    const pipeline = await Pipeline.create({
      models: { directory: folder },
      defaults: { model: SSDLITE, slots: 24, labels: ['person'] },
      infer: { threads: 1, batch: { size: 2 } },
      streams: { gate: live, door: live, file },
    });
    const results = await collectResults(pipeline);
    await pipeline.runAll();
    const client = modelClient(pipeline);
    const count = (): number => inferredOf(results, 'file').length;
    const progress = (): string => `${count()} frames of the file\n${pipeline.output()}`;
    await eventually(progress, () => count() > 40, PATIENCE);
    for (const manifest of steps) {
      const { model } = await client.swap(SSDLITE, manifest, LIMITS);
      expect(model).toMatchObject({ name: SSDLITE, manifest, reason: '', loading: '' });
      for (const id of ['gate', 'door']) {
        await eventually(progress, () => inferredOf(results, id).at(-1)?.model === manifest, PATIENCE);
      }
    }
    await eventually(progress, () => count() >= CLIP_FRAMES, { timeoutMs: 150_000 });

    // The file: each frame once.
    const missing = (): number[] => {
      const have = new Set(recordsOf(pipeline, 'file').map(({ seq }) => Number(seq)));
      return Array.from({ length: CLIP_FRAMES }, (_, seq) => seq).filter((seq) => !have.has(seq));
    };
    await eventually(() => `all records; missing: ${missing().join()}; ${JSON.stringify(Object.entries(pipeline.stream('sink', 'file')?.drops ?? {}).map(String))}\n${progress()}`, () => missing().length === 0, PATIENCE);
    const fileRecords = recordsOf(pipeline, 'file');
    expect(fileRecords.map(({ seq }) => Number(seq))).toEqual(Array.from({ length: CLIP_FRAMES }, (_, seq) => seq));
    expect(new Set(fileRecords.map(({ status }) => status))).toEqual(new Set([INFERRED]));
    // ingest sends a frame once more that sink has not taken for 10 s; nothing else may come twice.
    for (const seconds of secondsBetweenTwins(inferredOf(results, 'file'))) expect(seconds, pipeline.output()).toBeGreaterThan(9);
    // The cameras: each frame has its record; where nobody looked, because of the load.
    for (const id of ['gate', 'door']) {
      const records = recordsOf(pipeline, id);
      const first = Number(records[0]?.seq ?? 0n);
      expect(records.map(({ seq }) => Number(seq))).toEqual(records.map((_, index) => first + index));
      expect(records.map(({ status }) => status).filter((status) => !ACCOUNTED.has(status))).toEqual([]);
    }
    // From one model to the next, never back.
    for (const id of ['gate', 'door', 'file']) {
      expect(runs(recordsOf(pipeline, id).flatMap(({ status, model }) => (status === INFERRED ? model : []))), id).toEqual([SSDLITE, ...steps]);
    }
    expectNoPause(pipeline, results);
    // Too late for a camera's frame is what overload is; nothing failed.
    const drops = pipeline.status('infer')?.streams.flatMap(({ streamId, drops: all }) => Object.entries(all).flatMap(([reason, frames]) => (frames > 0n ? `${streamId} ${reason}` : [])));
    expect(drops?.filter((drop) => !['gate stale', 'door stale'].includes(drop)), pipeline.output()).toEqual([]);
  }, 400_000);

  it('twenty times leaves nothing behind', async () => {
    const folder = tempFolder();
    writeBoxModel(folder, 'one', 'person');
    writeBoxModel(folder, 'two', 'person', { side: 128, batch: 4 });
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: { ...live, model: 'one' } } });
    await pipeline.runAll();
    const client = modelClient(pipeline);
    const swapTimes = async (times: number): Promise<void> => {
      for (let index = 0; index < times; index++) await client.swap('one', index % 2 === 0 ? 'two' : 'one', LIMITS);
    };
    const { pid } = pipeline.process('infer-0');
    const rssMiB = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
    const threads = (): number => Number(/Threads:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    await swapTimes(6);
    const [rssBefore, threadsBefore] = [rssMiB(), threads()];
    await swapTimes(20);
    // Threads of the last one may still be ending.
    await eventually(() => `${threads()} threads, there were ${threadsBefore}`, () => threads() <= threadsBefore, PATIENCE);
    const grownMiB = rssMiB() - rssBefore;
    console.log(`infer after 20 swaps: ${rssBefore.toFixed(0)} MiB, ${grownMiB.toFixed(1)} MiB more`);
    // A generation that stays has a thread with its own heap and engine: 15 MiB and more.
    expect(grownMiB).toBeLessThan(100);
    expect(servedBy(pipeline, 'one')?.reason).toBe('');
  }, 240_000);
});

/** Between the last batch of a model and the first of the next no more time passes than elsewhere, and one batch. */
function expectNoPause(pipeline: Pipeline, results: readonly ResultMessage[]): void {
  const batches = batchesOf(results);
  const idleMs = idleBeforeMs(batches);
  const isFirst = batches.map(({ model }, index) => index > 0 && model !== batches[index - 1]?.model);
  const longestBatchMs = Math.max(...batches.map(({ startedNs, endedNs }) => Number(endedNs - startedNs) / 1e6));
  const atSwapMs = idleMs.filter((_, index) => isFirst[index]);
  const elsewhereMs = Math.max(...idleMs.filter((_, index) => isFirst[index] !== true));
  console.log(`idle at swaps ${atSwapMs.map((ms) => ms.toFixed(1)).join(', ')} ms; elsewhere up to ${elsewhereMs.toFixed(1)} ms; longest batch ${longestBatchMs.toFixed(1)} ms`);
  expect(atSwapMs.length).toBeGreaterThan(0);
  for (const ms of atSwapMs) expect(ms).toBeLessThanOrEqual(elsewhereMs + longestBatchMs);
  for (const id of ['gate', 'door']) {
    const { around, elsewhere } = longestBlind(recordsOf(pipeline, id));
    // A camera of 10 frames a second.
    expect(around, id).toBeLessThanOrEqual(elsewhere + Math.ceil(longestBatchMs / 100));
  }
}

describe('a swap that cannot be', () => {
  it('is told why, and nobody notices', async () => {
    const folder = tempFolder();
    writeBoxModel(folder, 'good', 'person');
    writeBoxModel(folder, 'cats', 'cat');
    writeBoxModel(folder, 'misfit', 'person');
    const misfit = path.join(folder, 'misfit.yaml');
    writeFileSync(misfit, readFileSync(misfit, 'utf8').replaceAll(/(width|height): 64/g, '$1: 32'));
    writeBoxModel(folder, 'lost', 'person');
    const lost = path.join(folder, 'lost.yaml');
    writeFileSync(lost, readFileSync(lost, 'utf8').replace('lost.onnx', 'nowhere.onnx'));
    const pipeline = await Pipeline.create({ models: { directory: folder }, streams: { gate: { ...live, model: 'good', labels: ['person'] } } });
    const results = await collectResults(pipeline);
    await pipeline.runAll();
    const client = modelClient(pipeline);
    const refused = async (manifest: string): Promise<{ code: string | undefined; message: string }> => {
      const error = await client.swap('good', manifest, LIMITS).then(
        () => undefined,
        (failure: unknown) => failure,
      );
      expect(await client.list().then(({ models }) => models[0]?.reason)).toContain(`swap to ${manifest} failed, good goes on: `);
      return { code: codeOf(error), message: messageOf(error) };
    };
    const misfits = await refused('misfit');
    expect(misfits.code).toBe('MODEL_SHAPE');
    expect(misfits.message).toContain('input "images" is float32 [N, 3, 64, 64], the manifest says float32 [N, 3, 32, 32]');
    const missing = await refused('lost');
    expect(missing.code).toBe('MODEL_NOT_FOUND');
    expect(missing.message).toContain(`${path.join(folder, 'nowhere.onnx')}: there is no such file`);
    const unknown = await refused('cats');
    expect(unknown.code).toBe('CONFIG_INVALID');
    expect(unknown.message).toContain('streams.gate.labels: "person": model cats has no such label');
    expect((await refused('nobody')).code).toBe('MODEL_NOT_FOUND');
    expect((await refused(path.join(MODELS_DIRECTORY, 'nobody.yaml'))).code).toBe('MODEL_NOT_FOUND');

    const before = results.length;
    await eventually('more results', () => results.length > before + 10, PATIENCE);
    expect(new Set(inferredOf(results, 'gate').map(({ model }) => model))).toEqual(new Set(['good']));
    expect(results.filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_FAILED)).toEqual([]);
    expect(pipeline.records.every(({ status }) => ACCOUNTED.has(status))).toBe(true);
    await untilServed(pipeline, 'good', ({ generation, manifest, reason }) => generation === 1 && manifest === 'good' && reason !== '');
    // What works takes the reason away.
    await client.swap('good', '', LIMITS);
    await untilServed(pipeline, 'good', (model) => isReady(model) && model.generation === 2 && model.reason === '');
  });
});
