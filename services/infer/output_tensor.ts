import { FramebusError } from '../../lib/errors.js';
import type { EngineTensorData, EngineTensorType } from '../../native/contract.js';
import { fromHalf } from './half_float.js';

/** Types of numbers that a model returns. */
export type TensorType = EngineTensorType;

/** float16 lies in a Uint16Array as its bits, bool in a Uint8Array as 0 and 1. */
export type TensorData = EngineTensorData;

/** One output of a model for a whole batch. */
export interface OutputTensor {
  type: TensorType;
  /** Row by row, the last dimension fastest. */
  data: TensorData;
  dims: readonly number[];
}

/** A model's outputs by name. */
export type OutputTensors = Readonly<Record<string, OutputTensor>>;

/** A tensor that decoders calculate with. */
export interface FloatTensor {
  data: Float32Array;
  dims: readonly number[];
}

/** Types that numbers of classes and counts come in. */
export const INDEX_TYPES: readonly TensorType[] = ['float32', 'int32', 'int64', 'uint8', 'int16', 'uint16', 'uint32', 'int8'];

/** An output that `checkShapes` has found good. */
export function outputOf(outputs: OutputTensors, name: string): OutputTensor {
  const tensor = outputs[name];
  if (tensor === undefined) throw new FramebusError('MODEL_SHAPE', `output "${name}": the model did not return it`);
  return tensor;
}

/** The same, of float32. */
export function floatsOf(outputs: OutputTensors, name: string): FloatTensor {
  const { data, dims, type } = outputOf(outputs, name);
  if (!(data instanceof Float32Array)) throw new FramebusError('MODEL_SHAPE', `output "${name}": it is ${type}, not float32`);
  return { data, dims };
}

/** Outputs of float16 as float32; the others as they are. */
export function withoutHalves(outputs: OutputTensors): OutputTensors {
  if (Object.values(outputs).every(({ type }) => type !== 'float16')) return outputs;
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => {
      const { data, dims, type } = tensor;
      if (type !== 'float16' || !(data instanceof Uint16Array)) return [name, tensor];
      return [name, { type: 'float32' as const, data: fromHalf(data), dims }];
    }),
  );
}
