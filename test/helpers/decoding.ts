import { stringify } from 'yaml';
import { parseManifest, type ModelManifest } from '../../models/manifest.js';
import { createDecoder } from '../../services/infer/create_decoder.js';
import { Findings } from '../../services/infer/findings.js';
import type { OutputTensor, OutputTensors } from '../../services/infer/output_tensor.js';

export interface DecoderManifestOptions {
  decoder: Readonly<Record<string, unknown>>;
  labels?: Readonly<Record<number, string>>;
  task?: ModelManifest['task'];
  /** Of the network's picture. */
  width?: number;
  height?: number;
  /** Further keys of the manifest, or others in the place of the usual ones. */
  more?: Readonly<Record<string, unknown>>;
  /** Folder of the manifest. */
  folder?: string;
}

/** The manifest of a model "m", through the reader of manifests. */
export function decoderManifest(options: DecoderManifestOptions): ModelManifest {
  const { decoder, labels = {}, task = 'detect', width = 32, height = 16, more = {}, folder = '/m' } = options;
  const manifest = {
    name: 'm',
    licence: 'MIT',
    task,
    source: { file: 'm.onnx' },
    input: {
      name: 'images',
      width,
      height,
      layout: 'nchw',
      resize: 'stretch',
      color_order: 'rgb',
      mean: [0, 0, 0],
      scale: [1, 1, 1],
      dtype: 'float32',
    },
    decoder,
    labels,
    ...(task === 'detect' || task === 'classify' ? { thresholds: { default: 0.5 } } : {}),
    ...(task === 'detect' ? { nms: { kind: 'none' } } : {}),
    batch: 'dynamic',
    ...more,
  };
  return parseManifest(stringify(manifest), `${folder}/m.yaml`);
}

export const floats = (dims: number[], data: ArrayLike<number>): OutputTensor => ({ type: 'float32', dims, data: Float32Array.from(data) });
export const int64s = (dims: number[], data: readonly number[]): OutputTensor => ({
  type: 'int64',
  dims,
  data: BigInt64Array.from(data, BigInt),
});
export const int32s = (dims: number[], data: readonly number[]): OutputTensor => ({ type: 'int32', dims, data: Int32Array.from(data) });

/** A tensor without numbers, for `check`. */
export const empty = (dims: number[], type: OutputTensor['type'] = 'float32'): OutputTensor => ({ type, dims, data: new Float32Array(0) });

/** Checks outputs and decodes one frame of them. */
export async function decode(
  manifest: ModelManifest,
  outputs: OutputTensors,
  thresholds: readonly number[],
  { frame = 0, batch = 1 }: { frame?: number; batch?: number } = {},
): Promise<Findings> {
  const decoder = await createDecoder(manifest);
  decoder.check(outputs, batch);
  const found = new Findings();
  decoder.decode(outputs, frame, Float64Array.from(thresholds), found);
  return found;
}

/** Boxes as rows of x1, y1, x2, y2, score, class. */
export function rowsOf({ boxes: found }: Findings): number[][] {
  return Array.from({ length: found.count }, (_, index) => [
    ...found.boxes.subarray(index * 4, index * 4 + 4),
    found.scores[index] ?? Number.NaN,
    found.classes[index] ?? Number.NaN,
  ]);
}

/** Why outputs are refused; null when they are not. */
export async function misfit(manifest: ModelManifest, outputs: OutputTensors, batch = 1): Promise<string | null> {
  const decoder = await createDecoder(manifest);
  try {
    decoder.check(outputs, batch);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Numbers from 0 to 1 that are the same in every run. */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Rounds numbers, so that rows of float32 can be compared with rows of doubles. */
export const rounded = (rows: readonly (readonly number[])[]): number[][] =>
  rows.map((row) => row.map((value) => Math.round(value * 1e3) / 1e3 + 0));
