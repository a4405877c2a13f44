import type { FrameRegion, PreprocessFrame, PreprocessGeometry, PreprocessSpec } from '../../native/contract.js';
import type { ModelInput, ModelManifest } from '../../models/manifest.js';
import { createDecoder } from './create_decoder.js';
import type { Decoder } from './decoder.js';
import type { Engine } from './engine.js';
import { Findings } from './findings.js';
import { toFrameFindings, type FrameFindings } from './frame_findings.js';
import { withoutHalves, type OutputTensors } from './output_tensor.js';

/** One frame of a batch. */
export interface DetectorFrame {
  /** Lease that holds the frame. */
  leaseId: number;
  /** Size of the frame in pixels. */
  width: number;
  height: number;
  /** The part that the network is shown; null: all of it. */
  region: FrameRegion | null;
  /** See `classThresholds`. */
  thresholds: Float64Array;
  /** Lower ones, from which on boxes are for the stream's tracker; null, or left out: it wants none. */
  weak?: Float64Array | null;
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
  /** The same for all that is not boxes. */
  findings: FrameFindings[];
  times: BatchTimes;
}

/** Writes leased frames into the input that the engine reads. */
export type Preprocess = (frames: readonly PreprocessFrame[], spec: PreprocessSpec) => PreprocessGeometry[];

/** What the native addon needs to know of a model's input. */
export function preprocessSpec(input: ModelInput): PreprocessSpec {
  const { width, height, resize, anchor, pad, colorOrder, layout, mean, scale } = input;
  return { width, height, resize, anchor, padValue: pad, colorOrder, layout, mean, scale };
}

/** Frames in, detections out: preprocess, engine, decoder, suppression, on one thread. */
export class Detector {
  readonly #manifest: ModelManifest;
  readonly #engine: Pick<Engine, 'run'>;
  readonly #decoder: Decoder;
  readonly #preprocess: Preprocess;
  readonly #spec: PreprocessSpec;
  readonly #found = new Findings();

  private constructor(manifest: ModelManifest, decoder: Decoder, engine: Pick<Engine, 'run'>, preprocess: Preprocess) {
    this.#manifest = manifest;
    this.#engine = engine;
    this.#decoder = decoder;
    this.#preprocess = preprocess;
    this.#spec = preprocessSpec(manifest.input);
  }

  /** Loads the decoder that the manifest declares. @throws MODEL_DECODER */
  static async create(manifest: ModelManifest, engine: Pick<Engine, 'run'>, preprocess: Preprocess): Promise<Detector> {
    return new Detector(manifest, await createDecoder(manifest), engine, preprocess);
  }

  /**
   * Runs every batch size once, so that the first frames do not wait for memory
   * to be planned, and checks what comes out. @throws MODEL_SHAPE, MODEL_DECODER
   *
   * @returns milliseconds of a run, by batch size
   */
  async warmUp(maxBatch: number): Promise<Map<number, number>> {
    const times = new Map<number, number>();
    for (let batch = maxBatch; batch >= 1; batch--) {
      const fixed = this.#manifest.batch === 'dynamic' ? batch : this.#manifest.batch;
      const outputs = await this.#run(batch);
      this.#decoder.check(outputs, fixed);
      this.#tryDecode(outputs, batch);
      const startedMs = performance.now();
      await this.#engine.run(batch);
      times.set(batch, performance.now() - startedMs);
    }
    return times;
  }

  async detect(frames: readonly DetectorFrame[]): Promise<BatchDetections> {
    const startedNs = process.hrtime.bigint();
    const geometries = this.#preprocess(frames, this.#spec);
    const preprocessedNs = process.hrtime.bigint();
    const outputs = await this.#run(frames.length);
    const inferredNs = process.hrtime.bigint();
    const rows: Float32Array[] = [];
    const findings: FrameFindings[] = [];
    for (const [index, frame] of frames.entries()) {
      const geometry = geometries[index];
      if (geometry === undefined) throw new Error(`preprocessing returned ${geometries.length} frames of ${frames.length}`);
      this.#found.clear();
      this.#decoder.decode(outputs, index, frame.weak ?? frame.thresholds, this.#found);
      const inFrame = toFrameFindings(this.#found, this.#manifest, { ...frame, geometry });
      rows.push(inFrame.rows);
      findings.push(inFrame.findings);
    }
    return { rows, findings, times: { startedNs, preprocessedNs, inferredNs, decodedNs: process.hrtime.bigint() } };
  }

  /** Tensors that are handed on keep their type; decoders calculate with float32. */
  async #run(batch: number): Promise<OutputTensors> {
    const outputs = await this.#engine.run(batch);
    return this.#manifest.task === 'raw' ? outputs : withoutHalves(outputs);
  }

  /** A decoder that fails shall do so when the model is loaded. */
  #tryDecode(outputs: OutputTensors, batch: number): void {
    const thresholds = new Float64Array(this.#manifest.classes).fill(this.#manifest.thresholds.default);
    for (let frame = 0; frame < batch; frame++) {
      this.#found.clear();
      this.#decoder.decode(outputs, frame, thresholds, this.#found);
    }
  }
}
