import { FramebusError } from '../../lib/errors.js';
import type { OutputTensor, OutputTensors, TensorType } from './output_tensor.js';

/** What a dimension must be: a number, or a letter for one that is free but the same wherever the letter stands. */
export type ExpectedDimension = number | string;

/** What an output must be; float32 unless types are given. */
export type ExpectedTensor =
  | readonly ExpectedDimension[]
  | { dims: readonly ExpectedDimension[]; types: readonly TensorType[] };

const FLOAT32: readonly TensorType[] = ['float32'];

/** Written as in NumPy: `[1, 3549, 85]`. */
export function formatShape(dimensions: readonly ExpectedDimension[]): string {
  return `[${dimensions.join(', ')}]`;
}

/** Names, types and shapes of outputs, for messages. */
export function formatOutputs(outputs: OutputTensors): string {
  return Object.entries(outputs)
    .map(([name, { dims, type }]) => `${name} ${type === 'float32' ? '' : `${type} `}${formatShape(dims)}`)
    .join(', ');
}

/**
 * Compares a model's outputs with what its decoder needs.
 *
 * @throws MODEL_SHAPE, naming the model, the output and both shapes
 */
export function checkShapes(
  model: string,
  decoder: string,
  outputs: OutputTensors,
  expected: Readonly<Record<string, ExpectedTensor>>,
): void {
  const letters = new Map<string, number>();
  const refuse = (message: string): never => {
    throw new FramebusError('MODEL_SHAPE', `model ${model}: ${message}`);
  };
  for (const [name, wanted] of Object.entries(expected)) {
    const { dims, types } = 'dims' in wanted ? wanted : { dims: wanted, types: FLOAT32 };
    const actual: OutputTensor | undefined = outputs[name];
    if (actual === undefined) {
      return refuse(`decoder ${decoder} reads an output "${name}" ${formatShape(dims)}; the model has ${formatOutputs(outputs)}`);
    }
    if (!fits(actual.dims, dims, letters)) {
      const bound = [...letters].map(([letter, value]) => `, ${letter} = ${value}`).join('');
      refuse(`output "${name}" is ${formatShape(actual.dims)}, decoder ${decoder} expects ${formatShape(dims)}${bound}`);
    }
    if (!types.includes(actual.type)) {
      refuse(`output "${name}" is ${actual.type} ${formatShape(actual.dims)}, decoder ${decoder} expects ${types.join(' or ')}`);
    }
  }
}

function fits(
  actual: readonly number[],
  expected: readonly ExpectedDimension[],
  letters: Map<string, number>,
): boolean {
  if (actual.length !== expected.length) return false;
  return expected.every((dimension, axis) => {
    const length = actual[axis];
    if (length === undefined) return false;
    if (typeof dimension === 'number') return dimension === length;
    const bound = letters.get(dimension);
    if (bound === undefined) letters.set(dimension, length);
    return bound === undefined || bound === length;
  });
}
