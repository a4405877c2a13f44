import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import { sha256Of } from '../../models/fetch.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { hasTestData, SAMPLE_CLIP } from '../helpers/data.js';
import { dataModels } from '../helpers/data_models.js';
import { eventually } from '../helpers/eventually.js';
import { natsClient } from '../helpers/nats.js';
import { Pipeline, type PipelineOptions } from '../helpers/pipeline.js';
import type { TestProcess } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

const INFERRED = InferenceStatus.INFERENCE_STATUS_INFERRED;
/** Frames of the sample clip. */
const CLIP_FRAMES = 795;

/** ingest and infer as real processes, and everything that reaches sink's subject. */
async function create(options: PipelineOptions): Promise<{ pipeline: Pipeline; results: ResultMessage[] }> {
  const pipeline = await Pipeline.create(options);
  const results: ResultMessage[] = [];
  const client = await natsClient(pipeline.nats.url, 'results');
  client.subscribe(subjects.ALL_RESULTS, {
    callback: (_error, message) => results.push(decodeResult(message.data)),
  });
  await client.flush();
  return { pipeline, results };
}

/** sink, two workers, ingest; returns the first worker. */
async function startTwo(pipeline: Pipeline): Promise<TestProcess> {
  const [first] = await Promise.all([pipeline.run('infer', 'infer-a'), pipeline.run('infer', 'infer-b'), pipeline.run('sink')]);
  await pipeline.run('ingest');
  return first;
}

const seqs = (results: readonly ResultMessage[], stream: string): bigint[] =>
  results.flatMap(({ frame }) => (frame?.streamId === stream ? frame.seq : []));

/** Sequence numbers 0 to count − 1, each once. */
function expectEachOnce(results: readonly ResultMessage[], stream: string, count: number): void {
  const sorted = seqs(results, stream).toSorted((a, b) => Number(a - b));
  expect(sorted).toEqual(Array.from({ length: count }, (_, index) => BigInt(index)));
}

describe('infer', () => {
  it('sees people in the clip, in frame pixels, with times that go forward', async () => {
    const { pipeline, results } = await create({
      streams: { gate: { source: SAMPLE_CLIP, labels: ['person'], min_confidence: 0.3 } },
    });
    await pipeline.runAll();
    const inferred = (): ResultMessage[] => results.filter(({ status }) => status === INFERRED);
    await eventually(() => `30 results\n${pipeline.output()}`, () => inferred().length >= 30, { timeoutMs: 60_000 });

    for (const { model, detections, times, frame, batchSize } of inferred()) {
      expect(model).toBe('ssdlite-mobilenet-v2');
      expect(batchSize).toBe(1);
      const order = [frame?.decodedMonotonicNs, times?.leasedNs, times?.startedNs, times?.preprocessedNs, times?.inferredNs, times?.decodedNs];
      expect(order).toEqual(order.toSorted((a, b) => Number((a ?? 0n) - (b ?? 0n))));
      for (const { label, classId, confidence, box } of detections) {
        expect([label, classId]).toEqual(['person', 0]);
        expect(confidence).toBeGreaterThan(0.3);
        expect(box?.x).toBeGreaterThanOrEqual(0);
        expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(768.001);
        expect((box?.y ?? 0) + (box?.height ?? 0)).toBeLessThanOrEqual(576.001);
      }
    }
    expect(inferred().flatMap(({ detections }) => detections).length).toBeGreaterThan(30);
    // For the tracker, which takes what is above 0.1.
    const weak = inferred().flatMap(({ weakDetections }) => weakDetections);
    expect(weak.length).toBeGreaterThan(0);
    for (const { label, confidence } of weak) {
      expect(label).toBe('person');
      expect(confidence).toBeGreaterThan(0.1);
      expect(confidence).toBeLessThanOrEqual(0.3);
    }
    const status = await eventually('status of infer', () => pipeline.stream('infer', 'gate'));
    expect(status).toMatchObject({ width: 768, height: 576 });
    expect(status.framesInferred).toBeGreaterThan(0n);
    const http = pipeline.status('infer')?.addresses['http'] ?? '';
    const metrics = await (await fetch(`${http}/metrics`)).text();
    const sample = (metric: string, ...labels: string[]): number => {
      const line = metrics.split('\n').find((text) => text.startsWith(`framebus_infer_${metric}{`) && labels.every((label) => text.includes(label)));
      return Number(line?.split(' ').at(-1));
    };
    const model = 'model="ssdlite-mobilenet-v2"';
    expect(sample('queue_age_seconds_count', model, 'stream="gate"'), metrics).toBeGreaterThanOrEqual(30);
    expect(sample('batch_frames_count', model), metrics).toBeGreaterThanOrEqual(30);
    for (const step of ['preprocess', 'engine', 'decode']) {
      expect(sample('batch_seconds_count', model, `step="${step}"`), metrics).toBeGreaterThanOrEqual(30);
    }
    // The one that runs, one that waits, and one whose result is leaving.
    expect(sample('in_flight_frames', model, 'stream="gate"'), metrics).toBeLessThanOrEqual(3);
    pipeline.process('infer-0').kill('SIGTERM');
    expect(await pipeline.process('infer-0').exitCode()).toBe(0);
  });

  it('answers for every frame of a lossless file exactly once, from two workers', async () => {
    const { pipeline, results } = await create({
      streams: { file: { source: SAMPLE_CLIP, mode: 'lossless', pace: 'fast' } },
    });
    await startTwo(pipeline);
    await eventually(() => `${CLIP_FRAMES} results, have ${results.length}\n${pipeline.output()}`, () => results.length >= CLIP_FRAMES, {
      timeoutMs: 110_000,
    });
    expectEachOnce(results, 'file', CLIP_FRAMES);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set([INFERRED]));
    const shares = await eventually('the status of both', () => {
      const counts = ['infer-a', 'infer-b'].map((name) => Number(pipeline.status('infer', name)?.streams[0]?.framesInferred ?? 0n));
      return counts[0] !== undefined && counts[1] !== undefined && counts[0] + counts[1] === CLIP_FRAMES && counts;
    });
    expect(Math.min(...shares)).toBeGreaterThan(CLIP_FRAMES / 10);
  });

  it('goes on with one worker when the other is killed', async () => {
    const { pipeline, results } = await create({
      streams: { gate: { source: SAMPLE_CLIP, loop: true }, door: { source: SAMPLE_CLIP, loop: true } },
    });
    const victim = await startTwo(pipeline);
    await eventually(() => `results\n${pipeline.output()}`, () => results.length >= 40, { timeoutMs: 60_000 });
    victim.kill('SIGKILL');
    await victim.exitCode();
    const before = results.length;
    await eventually(() => `results after the kill\n${pipeline.output()}`, () => results.length >= before + 60, { timeoutMs: 60_000 });
    expect(results.slice(before).filter(({ status }) => status === INFERRED).length).toBeGreaterThan(20);
    // Nothing is missing in the middle: every frame has an answer, whoever had it.
    for (const stream of ['gate', 'door']) {
      const have = new Set(seqs(results, stream));
      const last = [...have].reduce((a, b) => (a > b ? a : b), 0n);
      const missing = Array.from({ length: Number(last) - 25 }, (_, seq) => BigInt(seq)).filter((seq) => !have.has(seq));
      expect(missing, `${stream}: frames without an answer`).toEqual([]);
    }
  });

  it.skipIf(!hasTestData('models'))('runs a model of fixed batch size next to another one', async () => {
    const { pipeline, results } = await create({
      models: { directory: dataModels() },
      infer: { batch: { size: 4, max_age: '5ms' } },
      streams: {
        a: { source: SAMPLE_CLIP, loop: true },
        b: { source: SAMPLE_CLIP, loop: true, model: 'lightweight-person-detector' },
        c: { source: SAMPLE_CLIP, loop: true, model: null },
      },
    });
    await pipeline.runAll();
    const of = (stream: string, status: InferenceStatus): ResultMessage[] =>
      results.filter(({ frame, status: s }) => frame?.streamId === stream && s === status);
    await eventually(
      () => `results of all\n${pipeline.output()}`,
      () =>
        of('a', INFERRED).length > 20 &&
        of('b', INFERRED).length > 20 &&
        of('c', InferenceStatus.INFERENCE_STATUS_SKIPPED).length > 20,
      { timeoutMs: 60_000 },
    );
    expect(of('c', INFERRED)).toEqual([]);
    expect(new Set(of('a', INFERRED).map(({ model }) => model))).toEqual(new Set(['ssdlite-mobilenet-v2']));
    expect(new Set(of('b', INFERRED).map(({ model }) => model))).toEqual(new Set(['lightweight-person-detector']));
    expect(of('b', INFERRED).flatMap(({ detections }) => detections).length).toBeGreaterThan(20);
  });
});

describe('infer that cannot start', () => {
  it('names a model that is not there, and ends', async () => {
    const { pipeline } = await create({ streams: { gate: { source: SAMPLE_CLIP, model: 'yolo9000' } } });
    const process = pipeline.start('infer');
    expect(await process.exitCode()).toBe(66);
    expect(process.stderr).toContain('model "yolo9000": there is no such manifest');
    expect(process.stderr).toContain('ssdlite-mobilenet-v2');
  });

  it('names a label that the model does not know', async () => {
    const { pipeline } = await create({ streams: { gate: { source: SAMPLE_CLIP, labels: ['persn'] } } });
    const process = pipeline.start('infer');
    expect(await process.exitCode()).toBe(78);
    expect(process.stderr).toContain('streams.gate.labels: "persn": model ssdlite-mobilenet-v2 has no such label');
  });

  it('refuses a model that does not fit its manifest, with both shapes', async () => {
    const models = tempFolder();
    const manifest = await foreignManifest(models);
    const { pipeline } = await create({ models: { directory: models }, streams: { gate: { source: SAMPLE_CLIP, model: manifest } } });
    const process = pipeline.start('infer');
    expect(await process.exitCode()).toBe(65);
    expect(process.stderr).toContain('model tiny: input "images" is float32 [N, 1, 2, 2], the manifest says float32 [N, 3, 64, 64]');
  });
});

/** A manifest for a model that is quite another one; returns its name. */
async function foreignManifest(folder: string): Promise<string> {
  const { OnnxGraph } = await import('../../models/onnx_graph.js');
  const graph = new OnnxGraph('tiny');
  graph.output('boxes', graph.input('images', ['N', 1, 2, 2]), ['N', 1, 2, 2]);
  const file = path.join(folder, 'tiny.onnx');
  writeFileSync(file, graph.finish('test'));
  writeFileSync(
    path.join(folder, 'tiny.yaml'),
    `name: tiny
licence: MIT
task: detect
source: {file: tiny.onnx, sha256: ${await sha256Of(file)}}
input: {name: images, width: 64, height: 64, layout: nchw, resize: stretch, color_order: rgb, mean: [0, 0, 0], scale: [1, 1, 1], dtype: float32}
decoder: {kind: ssd, boxes: boxes, scores: scores, box_order: yxyx}
labels: {0: thing}
thresholds: {default: 0.5}
nms: {kind: none}
batch: dynamic
`,
  );
  return 'tiny';
}
