import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';
import { ModelInput_Format, type ModelConfig } from '#proto/inference/model_config.js';
import type { ModelMetadataResponse } from '#proto/inference/grpc_service.js';
import { configDatatype, datatypeName } from './kserve_datatype.js';
import type { TensorInfo, TensorModels } from './tensor_inference.js';

/** A served model as requests see it. */
export interface KserveModel {
  name: string;
  /** Generation that serves the name. */
  version: string;
  manifest: ModelManifest;
  engine: string;
  /** What is open in the model file and settled by the manifest is settled here. */
  inputs: readonly TensorInfo[];
  outputs: readonly TensorInfo[];
  /** Most pictures of a request where their number is free; null where it is part of the shapes. */
  maxBatch: number | null;
}

/** @throws MODEL_NOT_FOUND, also for a version that does not serve the name now, and MODEL_NOT_READY */
export function kserveModel(models: TensorModels, name: string, version: string): KserveModel {
  const { manifest, generation, engine, maxBatch, inputs, outputs } = models.signature(name);
  const current = String(generation);
  if (version !== '' && version !== current) {
    throw new FramebusError('MODEL_NOT_FOUND', `model ${name}: version "${version}" is not served, ${current} is`, {
      remedy: 'Leave the version empty for the one that is served.',
    });
  }
  const settled = inputs.map((input) => settleInput(input, manifest));
  const settledOutputs = outputs.map((output) => ({ ...output, dims: settleBatch(output.dims, manifest) }));
  const isBatched = [...settled, ...settledOutputs].every(({ dims }) => dims[0] === -1);
  return { name, version: current, manifest, engine, inputs: settled, outputs: settledOutputs, maxBatch: isBatched ? maxBatch : null };
}

/** Inputs that need not be sent, because the manifest has them. */
export const isOptional = ({ manifest }: KserveModel, input: string): boolean =>
  manifest.extraInputs.some(({ name }) => name === input);

/** The metadata of a model. */
export function metadataOf(model: KserveModel): ModelMetadataResponse {
  const tensor = ({ name, type, dims }: TensorInfo): ModelMetadataResponse['inputs'][number] => ({
    name,
    datatype: datatypeName(type),
    shape: dims.map(BigInt),
  });
  return {
    name: model.name,
    versions: [model.version],
    platform: platformOf(model),
    inputs: model.inputs.map(tensor),
    outputs: model.outputs.map(tensor),
  };
}

/** The configuration of a model, with what its manifest says of labels and pictures. */
export function configOf(model: KserveModel): ModelConfig {
  const { manifest, maxBatch } = model;
  const withoutBatch = (dims: readonly number[]): bigint[] => dims.slice(maxBatch === null ? 0 : 1).map(BigInt);
  return {
    name: model.name,
    platform: platformOf(model),
    backend: backendOf(model),
    maxBatchSize: maxBatch ?? 0,
    input: model.inputs.map(({ name, type, dims }) => ({
      name,
      dataType: configDatatype(type),
      format: formatOf(manifest, name),
      dims: withoutBatch(dims),
      optional: isOptional(model, name),
    })),
    output: model.outputs.map(({ name, type, dims }) => ({ name, dataType: configDatatype(type), dims: withoutBatch(dims) })),
    parameters: Object.fromEntries(Object.entries(facts(manifest)).map(([key, stringValue]) => [key, { stringValue }])),
  };
}

/** Lists as JSON. */
function facts(manifest: ModelManifest): Record<string, string> {
  const { input, labels } = manifest;
  return {
    manifest: manifest.name,
    task: manifest.task,
    licence: manifest.licence,
    labels: JSON.stringify(Object.fromEntries(labels)),
    resize: input.resize,
    anchor: input.anchor,
    pad: String(input.pad),
    color_order: input.colorOrder,
    mean: JSON.stringify(input.mean),
    scale: JSON.stringify(input.scale),
  };
}

const backendOf = ({ engine }: KserveModel): string => /^[\w.-]+/.exec(engine)?.[0] ?? 'framebus';

function platformOf(model: KserveModel): string {
  const backend = backendOf(model);
  if (backend === 'onnxruntime') return 'onnxruntime_onnx';
  return backend === 'tensorrt' ? 'tensorrt_plan' : `framebus_${backend}`;
}

function formatOf({ input }: ModelManifest, name: string): ModelInput_Format {
  if (name !== input.name) return ModelInput_Format.FORMAT_NONE;
  return input.layout === 'nchw' ? ModelInput_Format.FORMAT_NCHW : ModelInput_Format.FORMAT_NHWC;
}

/** The batch's own length where the manifest has a fixed one. */
function settleBatch(dims: readonly number[], { batch }: ModelManifest): number[] {
  const [first, ...rest] = dims;
  if (first === undefined) return [];
  return [first === -1 && batch !== 'dynamic' ? batch : first, ...rest];
}

function settleInput(info: TensorInfo, manifest: ModelManifest): TensorInfo {
  const dims = settleBatch(info.dims, manifest);
  const { name, layout, width, height } = manifest.input;
  const picture = layout === 'nchw' ? [3, height, width] : [height, width, 3];
  if (info.name !== name || dims.length !== picture.length + 1) return { ...info, dims };
  return { ...info, dims: dims.map((length, axis) => (axis > 0 && length === -1 ? (picture[axis - 1] ?? -1) : length)) };
}
