import type { PreprocessGeometry, PreprocessSpec } from '../../native/contract.js';
import type { ModelInput, ModelManifest } from '../../models/manifest.js';
import { Candidates } from './candidates.js';
import { createDecoder, type Decoder } from './decoder.js';
import type { Engine } from './engine.js';
import { toFrameBoxes } from './frame_boxes.js';
import { nonMaximumSuppression } from './nms.js';

/** One frame of a batch. */
export interface DetectorFrame {
  /** Lease that holds the frame. */
  leaseId: number;
  /** Size of the frame in pixels. */
  width: number;
  height: number;
  /** See `classThresholds`. */
  thresholds: Float64Array;
}

/** CLOCK_MONOTONIC in nanoseconds, when a stage of a batch was over. */
export interface BatchTimes {
  startedNs: bigint;
  preprocessedNs: bigint;
  inferredNs: bigint;
  decodedNs: bigint;
}

export interface BatchDetections {
  /** One array a frame, see `toFrameBoxes`. */
  rows: Float32Array[];
  times: BatchTimes;
}

/** Writes leased frames into a batch tensor. */
export type Preprocess = (leaseIds: number[], spec: PreprocessSpec, tensor: Float32Array) => PreprocessGeometry[];

/** What the native addon needs to know of a model's input. */
export function preprocessSpec(input: ModelInput): PreprocessSpec {
  const { width, height, resize, anchor, pad, colorOrder, layout, mean, scale } = input;
  return { width, height, resize, anchor, padValue: pad, colorOrder, layout, mean, scale };
}

/** Frames in, detections out: preprocess, engine, decoder, suppression, on one thread. */
export class Detector {
  readonly #manifest: ModelManifest;
  readonly #engine: Engine;
  readonly #decoder: Decoder;
  readonly #preprocess: Preprocess;
  readonly #spec: PreprocessSpec;
  readonly #input: Float32Array;
  readonly #candidates = new Candidates();

  /** @param input the batch tensor that the engine reads */
  constructor(manifest: ModelManifest, engine: Engine, input: Float32Array, preprocess: Preprocess) {
    this.#manifest = manifest;
    this.#engine = engine;
    this.#decoder = createDecoder(manifest);
    this.#preprocess = preprocess;
    this.#spec = preprocessSpec(manifest.input);
    this.#input = input;
  }

  /**
   * Runs every batch size once, so that the first frames do not wait for memory
   * to be planned, and checks what comes out. @throws MODEL_SHAPE
   *
   * @returns milliseconds of a run, by batch size
   */
  async warmUp(maxBatch: number): Promise<Map<number, number>> {
    const times = new Map<number, number>();
    for (let batch = maxBatch; batch >= 1; batch--) {
      const fixed = this.#manifest.batch === 'dynamic' ? batch : this.#manifest.batch;
      this.#decoder.check(await this.#engine.run(batch), fixed);
      const startedMs = performance.now();
      await this.#engine.run(batch);
      times.set(batch, performance.now() - startedMs);
    }
    return times;
  }

  async detect(frames: readonly DetectorFrame[]): Promise<BatchDetections> {
    const startedNs = process.hrtime.bigint();
    const geometries = this.#preprocess(frames.map((frame) => frame.leaseId), this.#spec, this.#input);
    const preprocessedNs = process.hrtime.bigint();
    const outputs = await this.#engine.run(frames.length);
    const inferredNs = process.hrtime.bigint();
    const rows = frames.map((frame, index) => {
      const geometry = geometries[index];
      if (geometry === undefined) throw new Error(`preprocessing returned ${geometries.length} frames of ${frames.length}`);
      this.#candidates.clear();
      this.#decoder.decode(outputs, index, frame.thresholds, this.#candidates);
      const kept = nonMaximumSuppression(this.#candidates, this.#manifest.nms, this.#manifest.topK);
      return toFrameBoxes(this.#candidates, kept, geometry, frame.width, frame.height);
    });
    return { rows, times: { startedNs, preprocessedNs, inferredNs, decodedNs: process.hrtime.bigint() } };
  }
}
