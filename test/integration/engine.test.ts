import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { Pipeline, type PipelineOptions } from '../helpers/pipeline.js';
import { hasFfmpeg, rgbFrames, type RgbPicture } from '../helpers/raw_video.js';
import { REFERENCE_ENGINE, writeReferenceModel } from '../helpers/reference_engine.js';
import { tempFolder } from '../helpers/temp.js';

const SIDE = 64;
const CELL = 16;
/** Of the frames of the clip. */
const [WIDTH, HEIGHT] = [768, 576];
const THIRD = 1 / 3;

/** A model for the reference engine that finds what is bright, and its manifest. */
function models(): string {
  const folder = tempFolder();
  writeReferenceModel(path.join(folder, 'bright.txt'), {
    ...{ input: 'picture', width: SIDE, height: SIDE, cell: CELL, maxBatch: 4 },
    ...{ weights: [THIRD, THIRD, THIRD], threshold: 0.3 },
  });
  const level = 1 / 255;
  writeFileSync(
    path.join(folder, 'bright.yaml'),
    stringify({
      ...{ name: 'bright', licence: 'MIT', task: 'detect', source: { file: 'bright.txt' } },
      input: {
        ...{ name: 'picture', width: SIDE, height: SIDE, layout: 'nchw', resize: 'stretch', color_order: 'rgb' },
        ...{ mean: [0, 0, 0], scale: [level, level, level], dtype: 'float32' },
      },
      ...{ decoder: { kind: 'yolo-e2e', output: 'boxes' }, labels: { 0: 'bright' }, thresholds: { default: 0.3 }, batch: 'dynamic' },
    }),
  );
  return folder;
}

const inferred = (pipeline: Pipeline): DetectionRecord[] =>
  pipeline.records.filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_INFERRED);

/** infer, when it has given up. */
async function refused(options: PipelineOptions): Promise<{ code: number | null; stderr: string }> {
  const process = (await Pipeline.create(options)).start('infer');
  await eventually(() => `infer ends\n${process.stderr}`, () => process.child.exitCode !== null, { timeoutMs: 60_000 });
  return { code: process.child.exitCode, stderr: process.stderr };
}

const streams = { gate: { source: SAMPLE_CLIP, model: 'bright', mode: 'lossless', pace: 'fast' } };

describe('infer with an engine that is a shared library', () => {
  it.skipIf(!hasFfmpeg())('finds in real frames what their pixels say', async () => {
    const infer = { engine: REFERENCE_ENGINE, batch: { size: 4, max_age: '20ms' } };
    const pipeline = await Pipeline.create({ streams, infer, models: { directory: models() } });
    await pipeline.runAll();
    await eventually(() => `40 results\n${pipeline.output()}`, () => inferred(pipeline).length >= 40, { timeoutMs: 90_000 });
    expect(pipeline.process('infer-0').stderr).toContain('reference 1.0 on cpu, fp32');

    const { value: picture } = (await rgbFrames(SAMPLE_CLIP, 1).next()) as { value: RgbPicture };
    expect(picture).toMatchObject({ width: WIDTH, height: HEIGHT });
    const first = inferred(pipeline).find(({ seq }) => seq === 0n);
    expect(first, 'the first frame').toBeDefined();
    const expected = brightCells(picture.data);
    expect(expected.filter(({ isClear }) => isClear).length).toBeGreaterThan(3);
    const found = new Map(first?.detections.map((one) => [`${one.box?.x} ${one.box?.y}`, one]));
    for (const { x, y, score, isClear } of expected) {
      const one = found.get(`${x} ${y}`);
      // Cells whose score is nearly the threshold may be either.
      if (isClear && score < 0.3) expect(one, `${x}, ${y}: ${score}`).toBeUndefined();
      if (!isClear || score < 0.3) continue;
      expect(one, `${x}, ${y}: ${score}`).toMatchObject({ label: 'bright', box: { width: WIDTH / 4, height: HEIGHT / 4 } });
      expect(Math.abs((one?.confidence ?? 0) - score)).toBeLessThan(0.03);
    }
  });

  it('ends with the reason when the library, or what it is given, is not right', async () => {
    const directory = models();
    const missing = await refused({ streams, infer: { engine: '/nowhere/engine.so' }, models: { directory } });
    expect(missing).toMatchObject({ code: 69 });
    expect(missing.stderr).toContain('engine /nowhere/engine.so: ');
    const large = await refused({ streams, infer: { engine: REFERENCE_ENGINE, batch: { size: 5 } }, models: { directory } });
    expect(large).toMatchObject({ code: 65 });
    expect(large.stderr).toContain('it takes batches of up to 4, not 5');
    const ssdlite = { gate: { source: SAMPLE_CLIP } };
    const other = await refused({ streams: ssdlite, infer: { engine: REFERENCE_ENGINE } });
    expect(other).toMatchObject({ code: 65 });
    expect(other.stderr).toContain('it is no model for the reference engine');
  });

  it('takes no other engine in the place of one that was named', async () => {
    const { code, stderr } = await refused({ streams: { gate: { source: SAMPLE_CLIP } }, infer: { engine: 'tensorrt' } });
    expect(code).toBe(69);
    expect(stderr).toContain('TensorRT');
  });

  it('says why auto takes onnxruntime', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: { source: SAMPLE_CLIP } }, infer: { engine: 'auto' } });
    const process = await pipeline.run('infer');
    expect(process.stderr).toMatch(/onnxruntime: (the TensorRT plugin is not built|TensorRT does not run here|no TensorRT plan fits)/);
  });
});

interface Cell {
  x: number;
  y: number;
  /** Mean of the cell's levels, 0 to 1. */
  score: number;
  /** Far enough from the threshold that rounding does not matter. */
  isClear: boolean;
}

/** The cells of a frame: each is a sixteenth of it, and the resize keeps its mean but for its seams. */
function brightCells(rgb: Uint8Array): Cell[] {
  const [width, height] = [WIDTH / 4, HEIGHT / 4];
  return Array.from({ length: 16 }, (_, index) => {
    const [x, y] = [(index % 4) * width, Math.floor(index / 4) * height];
    let sum = 0;
    // The pixels that bilinear sampling at 12 × 9 steps reads.
    for (let row = 0; row < 16; row++) {
      for (let column = 0; column < 16; column++) sum += levelAt(rgb, x + (column + 0.5) * 12 - 0.5, y + (row + 0.5) * 9 - 0.5);
    }
    const score = sum / 256 / 255;
    return { x, y, score, isClear: Math.abs(score - 0.3) > 0.03 };
  });
}

/** Mean of the three channels between four pixels. */
function levelAt(rgb: Uint8Array, x: number, y: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const level = (column: number, row: number): number => {
    const at = (row * WIDTH + column) * 3;
    return ((rgb[at] ?? 0) + (rgb[at + 1] ?? 0) + (rgb[at + 2] ?? 0)) / 3;
  };
  const [right, down] = [x - left, y - top];
  const upper = level(left, top) * (1 - right) + level(left + 1, top) * right;
  const lower = level(left, top + 1) * (1 - right) + level(left + 1, top + 1) * right;
  return upper * (1 - down) + lower * down;
}
