import type * as Onnx from 'onnxruntime-node';
import { FramebusError } from '../../lib/errors.js';
import { TENSOR_ARRAYS } from './input_tensor.js';
import type { OutputTensor, TensorData, TensorType } from './output_tensor.js';
import type { InputTensorData, TensorInfo } from './tensor_inference.js';

type Runtime = typeof Onnx;

export const isTensorType = (type: string): type is TensorType => Object.hasOwn(TENSOR_ARRAYS, type);

/** Inputs or outputs of a model as onnxruntime tells of them; what is no tensor of numbers is left out. */
export function tensorInfos(metadata: readonly Onnx.InferenceSession.ValueMetadata[]): TensorInfo[] {
  return metadata.flatMap((value) => {
    if (!value.isTensor || !isTensorType(value.type)) return [];
    const dims = value.shape.map((length) => (typeof length === 'number' ? length : -1));
    return [{ name: value.name, type: value.type, dims }];
  });
}

/** A tensor of a client for onnxruntime; its bytes are copied. */
export function onnxTensor(runtime: Runtime, { type, dims, bytes }: InputTensorData): Onnx.Tensor {
  const numbers = typedArray(type, bytes);
  // The declared types differ by number of arguments only.
  return new runtime.Tensor(type as 'float32', numbers as Float32Array, dims);
}

/** Bytes as numbers; a copy, because they may lie at any address. */
function typedArray(type: TensorType, bytes: Uint8Array): TensorData {
  const copy = bytes.slice();
  return new TENSOR_ARRAYS[type](copy.buffer as never);
}

/** @throws MODEL_SHAPE for strings and other things that are no numbers */
export function outputTensor({ type, data, dims }: Onnx.Tensor, name: string, model: string): OutputTensor {
  if (!isTensorType(type) || typeof data === 'string' || Array.isArray(data)) {
    throw new FramebusError('MODEL_SHAPE', `model ${model}: output "${name}" is of ${type}, which is not known`);
  }
  if (type !== 'float16') return { type, data, dims };
  // Where JavaScript has a Float16Array, the runtime may use it.
  return { type, data: new Uint16Array(data.buffer, data.byteOffset, data.length), dims };
}
