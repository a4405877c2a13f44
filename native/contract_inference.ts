/**
 * The part of the boundary that is about models: preprocessing and engines. See contract.ts,
 * which has the rules and hands all of this on.
 */

// -------------------------------------------------------------- preprocess --

/** How a frame becomes a model's input. Source: research note and upstream conventions in models/. */
export interface PreprocessSpec {
  /** Network width and height in pixels. */
  width: number;
  height: number;
  /** stretch: both axes scaled alone. letterbox: one scale, padded. */
  resize: 'stretch' | 'letterbox';
  /** Where a letterboxed picture lies. center: Ultralytics. top-left: YOLOX. */
  anchor: 'center' | 'top-left';
  /** Padding, 0–255, before normalisation. */
  padValue: number;
  colorOrder: 'rgb' | 'bgr';
  layout: 'nchw' | 'nhwc';
  /** Network value = (level − mean) × scale, in `colorOrder`, level 0–255. */
  mean: [number, number, number];
  scale: [number, number, number];
}

/** Part of a frame, in pixels from the top left. */
export interface FrameRegion {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A leased frame, or a part of one, that goes into a batch. */
export interface PreprocessFrame {
  leaseId: number;
  /** Rounded outward to even pixels and cut to the frame; null: all of it. */
  region: FrameRegion | null;
}

/** From network pixels back to frame pixels: frame = (net − offset) / scale. */
export interface PreprocessGeometry {
  scaleX: number;
  scaleY: number;
  offsetX: number;
  offsetY: number;
}

// ----------------------------------------------------------------- engines --

/** Types of numbers in tensors; float16 lies in a Uint16Array as its bits, bool in a Uint8Array. */
export type EngineTensorType =
  | 'float32'
  | 'float16'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool';

export type EngineTensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

export interface EngineTensor {
  name: string;
  type: EngineTensorType;
  dims: number[];
  /** Row by row, the last dimension fastest; exactly the numbers that `dims` say. */
  data: EngineTensorData;
}

/** An input or output of a model. */
export interface EngineTensorInfo {
  name: string;
  type: EngineTensorType;
  /** −1: any length. */
  dims: number[];
}

/** A loaded model; see fb_description in engine/framebus_engine.h. */
export interface EngineDescription {
  engine: string;
  version: string;
  /** What it calculates on. */
  device: string;
  /** That it really calculates with, for example "fp16"; null when that is not known. */
  precision: string | null;
  /** Where it wants its inputs. */
  memory: 'host' | 'cuda';
  minBatch: number;
  /** The one that it was made for. */
  optBatch: number;
  /** 0: no limit of its own. */
  maxBatch: number;
  inputs: EngineTensorInfo[];
  outputs: EngineTensorInfo[];
}

/** What a library of engines would run models on. */
export interface EnginePlatform {
  engine: string;
  version: string;
  device: string;
  /** What models are made for, for example the compute capability "9.0"; may be empty. */
  architecture: string;
}

export interface PluginEngineOptions {
  /** Path of the shared library. */
  library: string;
  /** Path of the model. */
  model: string;
  /** Number of the device among those that the process sees. */
  device: number;
  /** Threads of one run on the CPU; 0: as the engine likes. */
  threads: number;
  /** Largest batch that will be asked for. */
  maxBatch: number;
}

/**
 * A model in an engine that is a shared library. Everything runs on the calling thread and
 * blocks it: use it in a worker, and in one thread only.
 */
export interface PluginEngine {
  describe(): EngineDescription;
  /** Makes room for a batch of float32 pictures for this input; all zeros at first. */
  preparePictures(input: string, height: number, width: number, layout: 'nchw' | 'nhwc', pictures: number): void;
  /** As `Addon.preprocess`, into that room: frame i is picture i. Throws FRAME_RELEASED. */
  preprocess(frames: readonly PreprocessFrame[], spec: PreprocessSpec): PreprocessGeometry[];
  /**
   * Runs the first `batch` pictures, with the model's other inputs. The outputs are views of
   * the engine's memory, good until the next run; `close` leaves them with length 0.
   * Throws MODEL_SHAPE, ENGINE_MEMORY, ENGINE_FAILED.
   */
  run(batch: number, others: readonly EngineTensor[]): EngineTensor[];
  /** The same with all inputs given. */
  runTensors(inputs: readonly EngineTensor[]): EngineTensor[];
  /** Idempotent. */
  close(): void;
}
