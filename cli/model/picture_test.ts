import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { FrameClassification } from '#proto/framebus/detection/v1/frame_classification.js';
import type { SegmentationMask } from '#proto/framebus/detection/v1/segmentation_mask.js';
import type { ModelManifest } from '../../models/manifest.js';
import { preprocess } from '../../native/index.js';
import { classThresholds } from '../../services/infer/class_thresholds.js';
import { Detector, type BatchTimes } from '../../services/infer/detector.js';
import { OnnxEngine } from '../../services/infer/onnx_engine.js';
import type { RawTensor } from '../../services/infer/findings.js';
import { noFindings } from '../../services/infer/frame_findings.js';
import { toDetections, toFrameMessages } from '../../services/infer/result_findings.js';
import { overlayOf } from '../../services/sink/overlay.js';
import { drawnPicture } from './drawn_picture.js';
import { LeasedPicture } from './leased_picture.js';

export interface PictureTestOptions {
  manifest: ModelManifest;
  /** Path of the model file. */
  modelFile: string;
  threads: number;
  /** The picture. */
  image: string;
  /** In the place of the model's own thresholds; null leaves them. */
  minConfidence: number | null;
  /** Whether the picture with what was seen drawn on it is wanted. */
  draw: boolean;
}

/** What a model has found in one picture, by its task. */
export interface Seen {
  /** The most certain first. */
  detections: Detection[];
  /** The most certain first. */
  classifications: FrameClassification[];
  masks: SegmentationMask[];
  tensors: RawTensor[];
}

/** What a model sees in one picture, and how long that takes. */
export interface PictureTest extends Seen {
  engine: string;
  task: ModelManifest['task'];
  width: number;
  height: number;
  /** Milliseconds. */
  timesMs: { load: number; warmUp: number; picture: number; preprocess: number; engine: number; decode: number };
  /** JPEG; null when it was not wanted. */
  jpeg: Uint8Array | null;
}

/** One picture through the service's own preprocessing, engine and decoder. @throws SOURCE_…, MODEL_SHAPE, ENGINE_… */
export async function testPicture(options: PictureTestOptions): Promise<PictureTest> {
  const { manifest } = options;
  const picture = await LeasedPicture.open(options.image);
  try {
    const { width, height } = manifest.input;
    const pictures = manifest.batch === 'dynamic' ? 1 : manifest.batch;
    const input = new Float32Array(pictures * 3 * width * height);
    const startedMs = performance.now();
    const engine = await OnnxEngine.load({ manifest, file: options.modelFile, threads: options.threads, input, maxBatch: 1 });
    const loadedMs = performance.now();
    try {
      const detector = await Detector.create(manifest, engine, (frames, spec) => preprocess(frames, spec, input));
      await detector.warmUp(1);
      const warmMs = performance.now();
      const { seen, times } = await look(detector, picture, options);
      const timesMs = { load: loadedMs - startedMs, warmUp: warmMs - loadedMs, picture: picture.decodeMs, ...stages(times) };
      const jpeg = options.draw ? await drawnPicture(picture.lease, overlayOf(seen)) : null;
      const { format } = picture.lease;
      return { ...seen, engine: engine.description, task: manifest.task, width: format.width, height: format.height, timesMs, jpeg };
    } finally {
      await engine.close();
    }
  } finally {
    await picture.close();
  }
}

async function look(
  detector: Detector,
  { lease }: LeasedPicture,
  { manifest, minConfidence }: PictureTestOptions,
): Promise<{ seen: Seen; times: BatchTimes }> {
  const { labels } = manifest;
  const thresholds = classThresholds(manifest, '', { labels: [], minConfidence, thresholds: {} });
  const { width, height } = lease.format;
  const { rows, findings, times } = await detector.detect([{ leaseId: lease.id, region: null, width, height, thresholds }]);
  const found = findings[0] ?? noFindings();
  const detections = toDetections(rows[0] ?? new Float32Array(0), labels, found.landmarks);
  const { classifications, masks } = toFrameMessages(found, labels);
  const sorted = detections.toSorted((a, b) => b.confidence - a.confidence);
  return { seen: { detections: sorted, classifications, masks, tensors: found.tensors }, times };
}

function stages({ startedNs, preprocessedNs, inferredNs, decodedNs }: BatchTimes): Record<'preprocess' | 'engine' | 'decode', number> {
  const ms = (from: bigint, to: bigint): number => Number(to - from) / 1e6;
  return {
    preprocess: ms(startedNs, preprocessedNs),
    engine: ms(preprocessedNs, inferredNs),
    decode: ms(inferredNs, decodedNs),
  };
}
