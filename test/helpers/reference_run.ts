import { findManifest } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { PreprocessGeometry, PreprocessSpec } from '../../native/contract.js';
import { classThresholds } from '../../services/infer/class_thresholds.js';
import { Detector } from '../../services/infer/detector.js';
import { ROW } from '../../services/infer/frame_boxes.js';
import { OnnxEngine } from '../../services/infer/onnx_engine.js';
import { rgbFrames, type RgbPicture } from './raw_video.js';

/** What a reference run saw in one frame; pixels of the frame. */
export interface ReferenceDetection {
  x: number;
  y: number;
  width: number;
  height: number;
  label: string;
  confidence: number;
}

export interface ReferenceRunOptions {
  /** A manifest, or the name of one of framebus's own. */
  model: string | ModelManifest;
  /** Path of the model file. */
  modelFile: string;
  /** In the place of the model's own thresholds. */
  minConfidence?: number;
  /** Labels to keep; all when left out. */
  labels?: readonly string[];
  maxFrames?: number;
  /** Threads of the engine. Default 2. */
  threads?: number;
}

/**
 * A model over a clip in the plainest way: ffmpeg decodes to RGB, a slow and
 * obvious resize makes the tensor, one frame after the other. It shares the
 * decoders and the suppression with the service (they have tests with results by
 * hand), and nothing of the media path.
 */
export async function referenceRun(file: string, options: ReferenceRunOptions): Promise<ReferenceDetection[][]> {
  const detector = await ReferenceDetector.create(options);
  const frames: ReferenceDetection[][] = [];
  for await (const picture of rgbFrames(file, options.maxFrames)) frames.push(await detector.detect(picture));
  await detector.close();
  return frames;
}

/** See `referenceRun`; for pictures that are there already. */
export class ReferenceDetector {
  readonly #manifest: ModelManifest;
  readonly #engine: OnnxEngine;
  readonly #detector: Detector;
  readonly #shown: { picture: RgbPicture | null };
  readonly #thresholds: Float64Array;

  private constructor(
    manifest: ModelManifest,
    engine: OnnxEngine,
    detector: Detector,
    shown: { picture: RgbPicture | null },
    thresholds: Float64Array,
  ) {
    this.#manifest = manifest;
    this.#engine = engine;
    this.#detector = detector;
    this.#shown = shown;
    this.#thresholds = thresholds;
  }

  static async create(options: ReferenceRunOptions): Promise<ReferenceDetector> {
    const manifest = typeof options.model === 'string' ? findManifest(options.model) : options.model;
    const { width, height } = manifest.input;
    const input = new Float32Array(3 * width * height * (manifest.batch === 'dynamic' ? 1 : manifest.batch));
    const engine = await OnnxEngine.load({ manifest, file: options.modelFile, threads: options.threads ?? 2, input, maxBatch: 1 });
    const filter = { labels: options.labels ?? [], minConfidence: options.minConfidence ?? null, thresholds: {} };
    const shown: { picture: RgbPicture | null } = { picture: null };
    const detector = await Detector.create(manifest, engine, (_, spec) => {
      if (shown.picture === null) throw new Error('there is no picture');
      return [plainPreprocess(shown.picture, spec, input)];
    });
    return new ReferenceDetector(manifest, engine, detector, shown, classThresholds(manifest, 'reference', filter));
  }

  async detect(picture: RgbPicture): Promise<ReferenceDetection[]> {
    this.#shown.picture = picture;
    const { width, height } = picture;
    const { rows } = await this.#detector.detect([{ leaseId: 0, region: null, width, height, thresholds: this.#thresholds }]);
    return toReferenceDetections(rows[0] ?? new Float32Array(0), this.#manifest.labels);
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }
}

/** Rows of `toFrameBoxes` with names. */
export function toReferenceDetections(rows: Float32Array, labels: ReadonlyMap<number, string>): ReferenceDetection[] {
  return Array.from({ length: rows.length / ROW }, (_, index) => {
    const [x = 0, y = 0, width = 0, height = 0, confidence = 0, channel = 0] = rows.subarray(index * ROW, (index + 1) * ROW);
    return { x, y, width, height, label: labels.get(channel) ?? '', confidence };
  });
}

/**
 * One picture into the first place of a batch tensor: bilinear, sample centres
 * at half pixels, edges repeated, padded as the spec says.
 */
export function plainPreprocess(picture: RgbPicture, spec: PreprocessSpec, tensor: Float32Array): PreprocessGeometry {
  const geometry = plainGeometry(picture, spec);
  const [innerWidth, innerHeight] = [
    Math.round(picture.width * geometry.scaleX),
    Math.round(picture.height * geometry.scaleY),
  ];
  for (let y = 0; y < spec.height; y++) {
    for (let x = 0; x < spec.width; x++) {
      const [innerX, innerY] = [x - geometry.offsetX, y - geometry.offsetY];
      const inside = innerX >= 0 && innerX < innerWidth && innerY >= 0 && innerY < innerHeight;
      for (let channel = 0; channel < 3; channel++) {
        const source = spec.colorOrder === 'rgb' ? channel : 2 - channel;
        const level = inside
          ? sample(picture, source, (innerX + 0.5) / geometry.scaleX - 0.5, (innerY + 0.5) / geometry.scaleY - 0.5)
          : spec.padValue;
        const at = spec.layout === 'nchw' ? (channel * spec.height + y) * spec.width + x : (y * spec.width + x) * 3 + channel;
        tensor[at] = (level - (spec.mean[channel] ?? 0)) * (spec.scale[channel] ?? 1);
      }
    }
  }
  return geometry;
}

function plainGeometry(picture: RgbPicture, spec: PreprocessSpec): PreprocessGeometry {
  if (spec.resize === 'stretch') {
    return { scaleX: spec.width / picture.width, scaleY: spec.height / picture.height, offsetX: 0, offsetY: 0 };
  }
  const ratio = Math.min(spec.width / picture.width, spec.height / picture.height);
  // YOLOX cuts the size off, Ultralytics rounds it.
  const whole = spec.anchor === 'top-left' ? Math.floor : Math.round;
  const [width, height] = [whole(picture.width * ratio), whole(picture.height * ratio)];
  const centered = spec.anchor === 'center';
  return {
    scaleX: width / picture.width,
    scaleY: height / picture.height,
    offsetX: centered ? Math.round((spec.width - width) / 2 - 0.1) : 0,
    offsetY: centered ? Math.round((spec.height - height) / 2 - 0.1) : 0,
  };
}

function sample({ width, height, data }: RgbPicture, channel: number, x: number, y: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, below] = [x - left, y - top];
  const at = (column: number, row: number): number => {
    const [inX, inY] = [Math.min(width - 1, Math.max(0, column)), Math.min(height - 1, Math.max(0, row))];
    return data[(inY * width + inX) * 3 + channel] as number;
  };
  const upper = at(left, top) * (1 - right) + at(left + 1, top) * right;
  const lower = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right;
  return upper * (1 - below) + lower * below;
}
