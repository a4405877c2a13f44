import type { InferParameter, ModelInferRequest } from '#proto/inference/grpc_service.js';
import { FramebusError } from '../../lib/errors.js';
import type { ExtraInput } from '../../models/manifest.js';
import { TENSOR_ARRAYS } from './input_tensor.js';
import { bytesOfContents, bytesPerNumber } from './kserve_contents.js';
import { datatypeName, tensorTypeOf } from './kserve_datatype.js';
import type { KserveModel } from './kserve_model.js';
import type { InputTensorData, TensorInfo } from './tensor_inference.js';
import { formatShape } from './tensor_shape.js';

type RequestInput = ModelInferRequest['inputs'][number];

/** An output that a request asks for. */
export interface WantedOutput {
  name: string;
  /** So many of the best classes instead of the numbers; 0: the numbers. */
  classes: number;
}

/** A request that fits its model. */
export interface CheckedRequest {
  inputs: Map<string, InputTensorData>;
  outputs: WantedOutput[];
  /** Whether tensors come, and go back, as bytes. */
  isRaw: boolean;
}

const SHARED_MEMORY = 'shared_memory_region';
const CLASSIFICATION = 'classification';

/** Compares a request with the model that it is for. @throws TENSOR_INVALID, RPC_UNSUPPORTED */
export function checkRequest(model: KserveModel, request: ModelInferRequest): CheckedRequest {
  for (const { name, parameters } of request.inputs) refuseSharedMemory(model, `input "${name}"`, parameters);
  const isRaw = request.rawInputContents.length > 0;
  if (isRaw && request.rawInputContents.length !== request.inputs.length) {
    refuse(model, `${request.rawInputContents.length} raw_input_contents for ${request.inputs.length} inputs; every input needs one, in the same order`);
  }
  const inputs = new Map<string, InputTensorData>();
  for (const [index, input] of request.inputs.entries()) {
    if (inputs.has(input.name)) refuse(model, `input "${input.name}" comes twice`);
    inputs.set(input.name, inputTensor(model, input, isRaw ? request.rawInputContents[index] : undefined));
  }
  const batch = checkBatch(model, inputs);
  for (const info of model.inputs) {
    if (!inputs.has(info.name)) inputs.set(info.name, filledInput(model, info, batch));
  }
  return { inputs, outputs: wantedOutputs(model, request), isRaw };
}

function refuse(model: KserveModel, message: string): never {
  throw new FramebusError('TENSOR_INVALID', `model ${model.name}: ${message}`);
}

function inputTensor(model: KserveModel, input: RequestInput, raw: Uint8Array | undefined): InputTensorData {
  const what = `input "${input.name}"`;
  const info = model.inputs.find(({ name }) => name === input.name);
  if (info === undefined) return refuse(model, `there is no ${what}; it takes ${names(model.inputs)}`);
  checkType(model, what, info, input.datatype);
  const dims = shapeOf(model, what, info, input.shape);
  const bytes = raw === undefined ? typedBytes(model, what, info, input) : rawBytes(model, what, input, raw);
  const length = dims.reduce((product, dimension) => product * dimension, bytesPerNumber(info.type));
  if (bytes.length !== length) {
    const type = datatypeName(info.type);
    const counted = raw === undefined ? `${bytes.length / bytesPerNumber(info.type)} numbers` : `${bytes.length} bytes`;
    const expected = raw === undefined ? `${length / bytesPerNumber(info.type)}` : `${length}`;
    return refuse(model, `${what} has ${counted}, ${type} ${formatShape(dims)} needs ${expected}`);
  }
  return { type: info.type, dims, bytes };
}

function checkType(model: KserveModel, what: string, info: TensorInfo, datatype: string): void {
  const type = tensorTypeOf(datatype);
  const wanted = datatypeName(info.type);
  if (type === info.type) return;
  if (type === null) refuse(model, `${what} comes as ${datatype === '' ? 'no datatype' : datatype}, which no model here takes; this one takes ${wanted}`);
  refuse(model, `${what} comes as ${datatype}, the model takes ${wanted}`);
}

function shapeOf(model: KserveModel, what: string, info: TensorInfo, shape: readonly bigint[]): number[] {
  const dims = shape.map(Number);
  const fits = dims.length === info.dims.length && dims.every((length, axis) => length > 0 && [-1, length].includes(info.dims[axis] ?? 0));
  if (!fits) refuse(model, `${what} comes as ${formatShape(dims)}, the model takes ${formatShape(info.dims)}`);
  return dims;
}

function rawBytes(model: KserveModel, what: string, { contents }: RequestInput, raw: Uint8Array): Uint8Array {
  if (contents !== undefined) refuse(model, `${what} has contents beside raw_input_contents; send one of them`);
  // Whoever runs it may give the memory away, so it must hold nothing else.
  return raw.byteLength === raw.buffer.byteLength ? raw : Uint8Array.from(raw);
}

function typedBytes(model: KserveModel, what: string, info: TensorInfo, { contents }: RequestInput): Uint8Array {
  if (contents === undefined) return new Uint8Array(0);
  return bytesOfContents(`model ${model.name}: ${what}`, info.type, contents);
}

/** The number of pictures, which all inputs must have. */
function checkBatch(model: KserveModel, inputs: ReadonlyMap<string, InputTensorData>): number {
  const first = model.manifest.input.name;
  const picture = inputs.get(first);
  if (picture === undefined) return refuse(model, `input "${first}" is missing`);
  const [batch = 1] = picture.dims;
  if (model.maxBatch === null) return batch;
  if (batch > model.maxBatch) refuse(model, `a batch of ${batch} is larger than ${model.maxBatch}, the most that infer.batch.size allows`);
  for (const [name, { dims }] of inputs) {
    if (dims[0] !== batch) refuse(model, `input "${name}" has a batch of ${String(dims[0])}, "${first}" one of ${batch}`);
  }
  return batch;
}

/** An input that the manifest has and the request has not. */
function filledInput(model: KserveModel, info: TensorInfo, batch: number): InputTensorData {
  const extra = model.manifest.extraInputs.find(({ name }) => name === info.name);
  if (extra === undefined) return refuse(model, `input "${info.name}" is missing`);
  return { type: extra.dtype, dims: [batch, extra.row.length], bytes: rows(extra, batch) };
}

function rows({ dtype, row }: ExtraInput, batch: number): Uint8Array {
  const array = new TENSOR_ARRAYS[dtype](row.length * batch);
  for (let index = 0; index < array.length; index++) {
    const number = row[index % row.length] as number;
    array[index] = dtype === 'int64' ? BigInt(number) : number;
  }
  return new Uint8Array(array.buffer);
}

/** Those asked for, or all. */
function wantedOutputs(model: KserveModel, { outputs }: ModelInferRequest): WantedOutput[] {
  if (outputs.length === 0) return model.outputs.map(({ name }) => ({ name, classes: 0 }));
  const seen = new Set<string>();
  return outputs.map(({ name, parameters }) => {
    const what = `output "${name}"`;
    if (!model.outputs.some((output) => output.name === name)) refuse(model, `there is no ${what}; it gives ${names(model.outputs)}`);
    if (seen.has(name)) refuse(model, `${what} is asked for twice`);
    seen.add(name);
    refuseSharedMemory(model, what, parameters);
    return { name, classes: classCount(model, what, parameters[CLASSIFICATION]) };
  });
}

function classCount(model: KserveModel, what: string, parameter: InferParameter | undefined): number {
  if (parameter === undefined) return 0;
  const count = Number(parameter.int64Param ?? -1);
  if (!(count >= 0 && Number.isSafeInteger(count))) refuse(model, `${what}: classification must be an int64_param from 0 up`);
  return count;
}

function refuseSharedMemory(model: KserveModel, what: string, parameters: RequestInput['parameters']): void {
  if (!(SHARED_MEMORY in parameters)) return;
  throw new FramebusError('RPC_UNSUPPORTED', `model ${model.name}: ${what} names shared memory, which is not served`, {
    remedy: 'Send the bytes in raw_input_contents.',
  });
}

const names = (infos: readonly TensorInfo[]): string => infos.map(({ name }) => `"${name}"`).join(', ');
