import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataType } from '#proto/framebus/detection/v1/raw_tensor.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { classColor } from '../../services/sink/overlay.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline } from '../helpers/pipeline.js';
import { ROOT } from '../helpers/process.js';
import { meanColour, SMALL_SIDE, writeSmallModel } from '../helpers/small_model.js';
import { rgbFrames } from '../helpers/raw_video.js';
import { tempFile, tempFolder } from '../helpers/temp.js';

const SIDE = SMALL_SIDE;

/** A model for every task, and one whose decoder is the example's. */
function models(): string {
  const folder = tempFolder();
  writeSmallModel(folder, 'colours', { task: 'raw', decoder: { kind: 'raw', outputs: ['mean', 'rounded'] } }, (graph, images) => {
    graph.output('mean', meanColour(graph, images), ['N', 3]);
    graph.output('rounded', graph.cast(graph.node('Mul', [meanColour(graph, images), graph.floats(Float32Array.of(255), [1])]), 'int64'), ['N', 3], 'int64');
    graph.output('picture', images, ['N', 3, SIDE, SIDE]);
  });
  const decoder = { kind: 'classification', output: 'logits', activation: 'softmax' };
  writeSmallModel(
    folder,
    'mood',
    { task: 'classify', decoder, labels: { 0: 'red', 1: 'green', 2: 'blue' }, thresholds: { default: 0.01 }, top_k: 2 },
    (graph, images) => graph.output('logits', meanColour(graph, images), ['N', 3]),
  );
  // The dominant colour of each pixel.
  const segmentation = { kind: 'segmentation', output: 'scores', layout: 'nchw' };
  writeSmallModel(folder, 'areas', { task: 'segment', decoder: segmentation, labels: { 1: 'green', 2: 'blue' } }, (graph, images) =>
    graph.output('scores', images, ['N', 3, SIDE, SIDE]),
  );
  const detection = { task: 'detect', labels: { 0: 'light' }, thresholds: { default: 0.5 }, nms: { kind: 'none' } };
  writeSmallModel(folder, 'lights', { ...detection, decoder: { module: './brightest.mjs', options: { output: 'cells' } } }, (graph, images) => {
    const weights = graph.floats(new Float32Array(3 * 64).fill(1 / 192), [1, 3, 8, 8]);
    graph.output('cells', graph.node('Conv', [images, weights], { kernel_shape: [8, 8], strides: [8, 8] }), ['N', 1, 8, 8]);
  });
  copyFileSync(path.join(ROOT, 'examples', 'decoder', 'brightest.mjs'), path.join(folder, 'brightest.mjs'));
  return folder;
}

const stream = (model: string): Record<string, unknown> => ({ source: SAMPLE_CLIP, model });

/** The first record of a stream whose frame was looked at. */
function inferred(pipeline: Pipeline, id: string): DetectionRecord | undefined {
  return pipeline.records.find(({ streamId, status }) => streamId === id && status === InferenceStatus.INFERENCE_STATUS_INFERRED);
}

describe('models of every task', () => {
  it('have their places in the records of sink', async () => {
    const streams = { raw: stream('colours'), class: stream('mood'), mask: stream('areas'), own: stream('lights') };
    const pipeline = await Pipeline.create({ streams, models: { directory: models() }, defaults: { slots: 16 } });
    await pipeline.runAll();
    const all = (): boolean => Object.keys(streams).every((id) => inferred(pipeline, id) !== undefined);
    await eventually(() => `a record of every stream\n${pipeline.output()}`, all, { timeoutMs: 60_000 });

    const raw = inferred(pipeline, 'raw');
    expect(raw?.tensors.map(({ name, type, shape }) => ({ name, type, shape }))).toEqual([
      { name: 'mean', type: DataType.DATA_TYPE_FLOAT32, shape: [3] },
      { name: 'rounded', type: DataType.DATA_TYPE_INT64, shape: [3] },
    ]);
    const [floats, integers] = (raw?.tensors ?? []).map(({ data }) => Buffer.from(data));
    const means = [0, 1, 2].map((channel) => floats?.readFloatLE(channel * 4) ?? NaN);
    for (const [channel, value] of means.entries()) {
      expect(value).toBeGreaterThan(0.05);
      expect(value).toBeLessThan(0.95);
      expect(Number(integers?.readBigInt64LE(channel * 8))).toBe(Math.trunc(Math.fround(value * 255)));
    }

    const classifications = inferred(pipeline, 'class')?.classifications ?? [];
    expect(classifications).toHaveLength(2);
    expect(classifications[0]?.confidence).toBeGreaterThanOrEqual(classifications[1]?.confidence ?? 1);
    for (const { label, classId } of classifications) expect(['red', 'green', 'blue'][classId]).toBe(label);

    // 768 × 576 in 64 × 64: eight rows of padding above and below are cut off.
    const masks = inferred(pipeline, 'mask')?.masks ?? [];
    expect(masks.map(({ label }) => label).toSorted()).toEqual(['blue', 'green']);
    for (const { width, height, area, runs, cells } of masks) {
      expect([width, height, area]).toEqual([64, 48, { x: 0, y: 0, width: 768, height: 576 }]);
      expect(runs.filter((_, index) => index % 2 === 1).reduce((sum, length) => sum + length, 0)).toBe(cells);
      expect(runs.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(64 * 48);
    }

    // Drawn, with their names in the corner, the last in the lower left, in the colours of their classes.
    const blue = [classColor(2) >> 16, (classColor(2) >> 8) & 255, classColor(2) & 255];
    const named = async (): Promise<boolean> => {
      const corner = await lowerLeft(`${pipeline.address('http')}/streams/mask/snapshot.jpg`);
      return corner.every((value, channel) => Math.abs(value - (blue[channel] ?? NaN)) < 25);
    };
    await eventually('the name of a mask in the picture', named, { timeoutMs: 60_000, everyMs: 200 });

    const lights = inferred(pipeline, 'own')?.detections ?? [];
    expect(lights.length).toBeGreaterThan(0);
    for (const { label, confidence, box } of lights) {
      expect(label).toBe('light');
      expect(confidence).toBeGreaterThan(0.5);
      expect(box?.width).toBeCloseTo(96, 3);
    }
  });

  it('are refused when the service starts: a broken module, and tensors that NATS does not take', async () => {
    const folder = models();
    writeFileSync(path.join(folder, 'brightest.mjs'), 'export const createDecoder = () => { throw new Error("not today"); };');
    const broken = await Pipeline.create({ streams: { own: stream('lights') }, models: { directory: folder } });
    const { child, stderr } = await ended(broken);
    expect(child.exitCode).toBe(65);
    expect(stderr).toContain(`model lights: decoder module ${path.join(folder, 'brightest.mjs')}: createDecoder: not today`);

    const colours = path.join(folder, 'colours.yaml');
    writeFileSync(colours, readFileSync(colours, 'utf8').replace('kind: raw', 'kind: raw\n  max_bytes: 1048576'));
    const large = await Pipeline.create({ streams: { raw: stream('colours') }, models: { directory: folder } });
    expect((await ended(large)).stderr).toContain('model colours: decoder.max_bytes is 1048576, NATS takes messages of 1048576 bytes');
  });
});

/** Colour of the lower left corner of a picture; rejects while there is none. */
async function lowerLeft(url: string): Promise<number[]> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  const file = tempFile('picture.jpg', new Uint8Array(await response.arrayBuffer()));
  for await (const { data, width, height } of rgbFrames(file, 1)) return [...data.subarray((height - 2) * width * 3).subarray(3, 6)];
  throw new Error(`${url}: no picture`);
}

/** infer, when it has given up. */
async function ended(pipeline: Pipeline): Promise<ReturnType<Pipeline['start']>> {
  const process = pipeline.start('infer');
  await eventually(() => `infer ends\n${process.stderr}`, () => process.child.exitCode !== null, { timeoutMs: 30_000 });
  return process;
}
