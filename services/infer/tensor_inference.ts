import type { ModelManifest } from '../../models/manifest.js';
import type { TensorType } from './output_tensor.js';

/** An input or output of a model. */
export interface TensorInfo {
  name: string;
  type: TensorType;
  /** -1 where the model leaves a length open. */
  dims: number[];
}

/** What a model takes and gives. */
export interface TensorSignature {
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  /** Most pictures of a request. */
  maxBatch: number;
  /** Engine that runs it, for people. */
  engine: string;
}

/** One input of a request. */
export interface InputTensorData {
  type: TensorType;
  dims: number[];
  /** Row by row, the last dimension fastest; little endian, no padding. */
  bytes: Uint8Array;
}

/** One output of a request; bytes as those of an input. */
export interface OutputTensorData {
  name: string;
  type: TensorType;
  dims: number[];
  bytes: Uint8Array;
}

/** What requests for tensors need of the models that a worker serves. */
export interface TensorModels {
  /** Served names. */
  names(): string[];
  ready(name: string): boolean;
  /** @throws MODEL_NOT_FOUND, MODEL_NOT_READY */
  signature(name: string): TensorSignature & { manifest: ModelManifest; generation: number };
  /**
   * Runs between two batches of frames on the same executors.
   *
   * @throws MODEL_NOT_FOUND, MODEL_NOT_READY, TENSOR_INVALID, ENGINE_FAILED
   */
  run(name: string, inputs: ReadonlyMap<string, InputTensorData>, signal: AbortSignal): Promise<OutputTensorData[]>;
}
