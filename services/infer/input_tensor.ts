import { toHalf } from './half_float.js';
import type { TensorData, TensorType } from './output_tensor.js';

/** Types of numbers and the arrays that they lie in. */
export const TENSOR_ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const satisfies Record<TensorType, new (length: number) => TensorData>;

/** A model's picture input in the type that it takes, made of the batch tensor of floats. */
export class InputTensor {
  /** What the engine reads. */
  readonly data: Float32Array | Uint16Array | Uint8Array;
  readonly #floats: Float32Array;

  constructor(dtype: 'float32' | 'float16' | 'uint8', floats: Float32Array) {
    this.#floats = floats;
    this.data = dtype === 'float32' ? floats : new TENSOR_ARRAYS[dtype](floats.length);
  }

  /** Converts the first `count` numbers; nothing to do for float32. */
  convert(count: number): void {
    if (this.data instanceof Uint16Array) toHalf(this.#floats, this.data, count);
    // Rounds and cuts to 0–255.
    else if (this.data instanceof Uint8Array) new Uint8ClampedArray(this.data.buffer).set(this.#floats.subarray(0, count));
  }
}
