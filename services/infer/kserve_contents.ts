import type { InferTensorContents } from '#proto/inference/grpc_service.js';
import { FramebusError } from '../../lib/errors.js';
import { TENSOR_ARRAYS } from './input_tensor.js';
import { datatypeName } from './kserve_datatype.js';
import type { TensorData, TensorType } from './output_tensor.js';

/** Field of the contents that holds a type's numbers; float16 has none. */
const FIELDS = {
  bool: 'boolContents',
  int8: 'intContents',
  int16: 'intContents',
  int32: 'intContents',
  int64: 'int64Contents',
  uint8: 'uintContents',
  uint16: 'uintContents',
  uint32: 'uintContents',
  uint64: 'uint64Contents',
  float32: 'fp32Contents',
  float64: 'fp64Contents',
  float16: null,
} as const satisfies Record<TensorType, keyof InferTensorContents | null>;

/** Fields as people write them. */
const FIELD_NAMES: Readonly<Record<keyof InferTensorContents, string>> = {
  boolContents: 'bool_contents',
  intContents: 'int_contents',
  int64Contents: 'int64_contents',
  uintContents: 'uint_contents',
  uint64Contents: 'uint64_contents',
  fp32Contents: 'fp32_contents',
  fp64Contents: 'fp64_contents',
  bytesContents: 'bytes_contents',
};

/** Whether a type's numbers can be sent one by one, not only raw. */
export const hasContents = (type: TensorType): boolean => FIELDS[type] !== null;

/** Bytes of one number. */
export const bytesPerNumber = (type: TensorType): number => TENSOR_ARRAYS[type].BYTES_PER_ELEMENT;

/** Contents as raw bytes; `what` is for messages. @throws TENSOR_INVALID */
export function bytesOfContents(what: string, type: TensorType, contents: InferTensorContents): Uint8Array<ArrayBuffer> {
  const field = FIELDS[type];
  const refuse = (message: string): never => {
    throw new FramebusError('TENSOR_INVALID', `${what}: ${message}`);
  };
  if (field === null) return refuse(`${datatypeName(type)} has no contents; send it in raw_input_contents`);
  const filled = (Object.keys(FIELD_NAMES) as (keyof InferTensorContents)[]).filter((key) => contents[key].length > 0);
  const [wrong] = filled.filter((key) => key !== field);
  if (wrong !== undefined) return refuse(`it has ${FIELD_NAMES[wrong]}, ${datatypeName(type)} belongs into ${FIELD_NAMES[field]}`);
  if (type === 'int64') return new Uint8Array(BigInt64Array.from(contents.int64Contents).buffer);
  if (type === 'uint64') return new Uint8Array(BigUint64Array.from(contents.uint64Contents).buffer);
  const numbers: readonly (number | bigint)[] = field === 'boolContents' ? contents.boolContents.map(Number) : contents[field];
  const array = new TENSOR_ARRAYS[type](numbers.length);
  for (const [index, given] of numbers.entries()) {
    array[index] = Number(given);
    // Floats are rounded; whole numbers must stay what they are.
    if (!isFloat(type) && array[index] !== given) return refuse(`${String(given)} at ${index} does not fit ${datatypeName(type)}`);
  }
  return new Uint8Array(array.buffer);
}

/** Raw bytes as contents; null for a type that has none. */
export function contentsOfBytes(type: TensorType, bytes: Uint8Array): InferTensorContents | null {
  const field = FIELDS[type];
  if (field === null) return null;
  const numbers = Array.from<number | bigint>(numbersOf(type, bytes));
  return { ...NO_CONTENTS, [field]: field === 'boolContents' ? numbers.map((number) => number !== 0) : numbers };
}

/** Raw bytes as numbers; float16 as its bits. */
export function numbersOf(type: TensorType, bytes: Uint8Array): TensorData {
  // A copy where it lies askew: arrays of larger numbers must be aligned.
  const aligned = bytes.byteOffset % bytesPerNumber(type) === 0 ? bytes : Uint8Array.from(bytes);
  return new TENSOR_ARRAYS[type](aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / bytesPerNumber(type));
}

const isFloat = (type: TensorType): boolean => type === 'float32' || type === 'float64';

/** Contents in which nothing is. */
export const NO_CONTENTS: InferTensorContents = {
  boolContents: [],
  intContents: [],
  int64Contents: [],
  uintContents: [],
  uint64Contents: [],
  fp32Contents: [],
  fp64Contents: [],
  bytesContents: [],
};
