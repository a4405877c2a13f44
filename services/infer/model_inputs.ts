import { FramebusError } from '../../lib/errors.js';
import type { ExtraInput, ModelManifest } from '../../models/manifest.js';
import { TENSOR_ARRAYS } from './input_tensor.js';
import type { OutputTensor } from './output_tensor.js';
import { formatShape } from './tensor_shape.js';

/** An input as a model declares it; a length that is open is a name, or negative. */
export interface DeclaredInput {
  name: string;
  type: string;
  dims: readonly (number | string)[];
}

/** Numbers of one picture. */
export const pictureSize = ({ width, height }: ModelManifest['input']): number => 3 * width * height;

/** Dimensions of one picture. */
export function pictureShape({ layout, width, height }: ModelManifest['input']): number[] {
  return layout === 'nchw' ? [3, height, width] : [height, width, 3];
}

/** Batch sizes that will be asked for: a model of fixed batch size has one. */
export function batchSizes({ batch }: ModelManifest, maxBatch: number): number[] {
  return batch === 'dynamic' ? Array.from({ length: maxBatch }, (_, index) => index + 1) : [batch];
}

/** A further input for a batch: the same row for every picture. */
export function extraTensor({ dtype, row }: ExtraInput, size: number): OutputTensor {
  const rows = Array.from({ length: size }, () => row).flat();
  const data = dtype === 'int64' ? BigInt64Array.from(rows, BigInt) : TENSOR_ARRAYS[dtype].from(rows);
  return { type: dtype, data, dims: [size, row.length] };
}

/** Refuses a model whose inputs are not what the manifest says. @throws MODEL_SHAPE, with both sides */
export function checkInputs(found: readonly DeclaredInput[], manifest: ModelManifest): void {
  const count = manifest.batch === 'dynamic' ? 'N' : manifest.batch;
  const { name, dtype } = manifest.input;
  const expected: DeclaredInput[] = [
    { name, type: dtype, dims: [count, ...pictureShape(manifest.input)] },
    ...manifest.extraInputs.map((extra) => ({ name: extra.name, type: extra.dtype, dims: [count, extra.row.length] })),
  ];
  const names = found.map((input) => input.name);
  if (found.length !== expected.length || !expected.every((input) => names.includes(input.name))) {
    const given = expected.map((input) => `"${input.name}"`).join(', ');
    const taken = names.map((input) => `"${input}"`).join(', ');
    throw new FramebusError('MODEL_SHAPE', `model ${manifest.name}: the manifest gives ${inputs(expected.length)} ${given}, the model takes ${taken}`);
  }
  for (const wanted of expected) checkInput(found, manifest, wanted);
}

const inputs = (count: number): string => (count === 1 ? 'one input' : `${count} inputs`);

function checkInput(found: readonly DeclaredInput[], manifest: ModelManifest, { name, type, dims }: DeclaredInput): void {
  const actual = found.find((input) => input.name === name);
  const shape = actual?.dims ?? [];
  const fits =
    actual?.type === type && shape.length === dims.length && dims.every((dimension, axis) => dimensionFits(dimension, shape[axis]));
  if (fits) return;
  throw new FramebusError(
    'MODEL_SHAPE',
    `model ${manifest.name}: input "${name}" is ${actual?.type ?? 'not there'} ${formatShape(shape)}, the manifest says ${type} ${formatShape(dims)}`,
  );
}

/** A length that the model leaves open takes any number, and "N" needs one that is open. */
function dimensionFits(expected: number | string, actual: number | string | undefined): boolean {
  const open = typeof actual === 'string' || (typeof actual === 'number' && actual < 0);
  return open || (typeof expected === 'number' && expected === actual);
}
