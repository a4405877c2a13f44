import { FramebusError } from '../../lib/errors.js';
import type { OutputTensor, OutputTensors } from './decoder.js';

/** What a dimension must be: a number, or a letter for one that is free but the same wherever the letter stands. */
export type ExpectedDimension = number | string;

/** Written as in NumPy: `[1, 3549, 85]`. */
export function formatShape(dimensions: readonly ExpectedDimension[]): string {
  return `[${dimensions.join(', ')}]`;
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
  expected: Readonly<Record<string, readonly ExpectedDimension[]>>,
): void {
  const letters = new Map<string, number>();
  for (const [name, dimensions] of Object.entries(expected)) {
    const actual = outputs[name]?.dims;
    if (actual === undefined) {
      const known = Object.entries(outputs).map(([other, tensor]) => `${other} ${formatShape(tensor.dims)}`);
      throw new FramebusError(
        'MODEL_SHAPE',
        `model ${model}: decoder ${decoder} reads an output "${name}" ${formatShape(dimensions)}; the model has ${known.join(', ')}`,
      );
    }
    if (!fits(actual, dimensions, letters)) {
      const bound = [...letters].map(([letter, value]) => `, ${letter} = ${value}`).join('');
      throw new FramebusError(
        'MODEL_SHAPE',
        `model ${model}: output "${name}" is ${formatShape(actual)}, decoder ${decoder} expects ${formatShape(dimensions)}${bound}`,
      );
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

/** An output that `checkShapes` has found good. */
export function outputOf(outputs: OutputTensors, name: string): OutputTensor {
  const tensor = outputs[name];
  if (tensor === undefined) throw new FramebusError('MODEL_SHAPE', `output "${name}": the model did not return it`);
  return tensor;
}
