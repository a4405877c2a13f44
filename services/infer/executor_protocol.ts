import type { ModelManifest } from '../../models/manifest.js';
import type { FrameRegion } from '../../native/contract.js';
import type { BatchTimes } from './detector.js';
import type { FrameFindings } from './frame_findings.js';
import type { StreamThresholds } from './stream_thresholds.js';
import type { InputTensorData, OutputTensorData, TensorSignature } from './tensor_inference.js';

/** What an executor's thread is started with. */
export interface ExecutorData {
  manifest: ModelManifest;
  /** Path of the model file. */
  modelFile: string;
  /** `infer.engine`. */
  engine: string;
  /** Threads of the engine. */
  threads: number;
  /** Most frames of a batch. */
  maxBatch: number;
  /** Thresholds that frames refer to by index. */
  filters: StreamThresholds[];
}

/** A frame of a batch. */
export interface ExecutorFrame {
  leaseId: number;
  width: number;
  height: number;
  /** The part to look at; null: all of it. */
  region: FrameRegion | null;
  /** Index into `filters`. */
  filter: number;
}

export type ExecutorRequest =
  | { type: 'batch'; id: number; frames: ExecutorFrame[] }
  /** Tensors of a client, by input. */
  | { type: 'tensors'; id: number; inputs: ReadonlyMap<string, InputTensorData> }
  /** Thresholds that frames refer to from now on. */
  | { type: 'filter'; number: number; thresholds: StreamThresholds }
  /** Finish and end the thread. */
  | { type: 'close' };

export type ExecutorReply =
  /** Loaded and warm. `reason`: why it is this engine; null when it was asked for by name. */
  | { type: 'ready'; signature: TensorSignature; reason: string | null; loadMs: number; batchMs: ReadonlyMap<number, number> }
  /** Cannot be loaded; the thread ends. */
  | { type: 'refused'; code: string; message: string; remedy: string }
  | { type: 'done'; id: number; rows: Float32Array[]; findings: FrameFindings[]; times: BatchTimes }
  | { type: 'tensors'; id: number; outputs: OutputTensorData[] }
  | { type: 'failed'; id: number; code: string; message: string };
