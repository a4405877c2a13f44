import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { ModelManifest } from '../../models/manifest.js';
import { preprocess } from '../../native/index.js';
import { classThresholds } from '../../services/infer/class_thresholds.js';
import { Detector, type BatchTimes } from '../../services/infer/detector.js';
import { OnnxEngine } from '../../services/infer/onnx_engine.js';
import { toDetections } from '../../services/infer/result_findings.js';
import { overlayBoxes } from '../../services/sink/overlay.js';
import { table } from '../status/table.js';
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
  /** Whether the picture with its boxes is wanted. */
  draw: boolean;
}

/** What a model sees in one picture. */
export interface PictureTest {
  engine: string;
  width: number;
  height: number;
  /** The most certain first. */
  detections: Detection[];
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
      const detector = await Detector.create(manifest, engine, input, preprocess);
      await detector.warmUp(1);
      const warmMs = performance.now();
      const { detections, times } = await detect(detector, picture, options);
      const seen = { load: loadedMs - startedMs, warmUp: warmMs - loadedMs, picture: picture.decodeMs, ...stages(times) };
      const jpeg = options.draw ? await drawnPicture(picture.lease, overlayBoxes(detections)) : null;
      const { format } = picture.lease;
      return { engine: engine.description, width: format.width, height: format.height, detections, timesMs: seen, jpeg };
    } finally {
      await engine.close();
    }
  } finally {
    await picture.close();
  }
}

async function detect(
  detector: Detector,
  { lease }: LeasedPicture,
  { manifest, minConfidence }: PictureTestOptions,
): Promise<{ detections: Detection[]; times: BatchTimes }> {
  const thresholds = classThresholds(manifest, '', { labels: [], minConfidence });
  const { width, height } = lease.format;
  const { rows, times } = await detector.detect([{ leaseId: lease.id, width, height, thresholds }]);
  const detections = toDetections(rows[0] ?? new Float32Array(0), manifest.labels);
  return { detections: detections.toSorted((a, b) => b.confidence - a.confidence), times };
}

function stages({ startedNs, preprocessedNs, inferredNs, decodedNs }: BatchTimes): Record<'preprocess' | 'engine' | 'decode', number> {
  const ms = (from: bigint, to: bigint): number => Number(to - from) / 1e6;
  return {
    preprocess: ms(startedNs, preprocessedNs),
    engine: ms(preprocessedNs, inferredNs),
    decode: ms(inferredNs, decodedNs),
  };
}

/** The detections and times for people. */
export function pictureReport({ engine, width, height, detections, timesMs }: PictureTest, image: string): string {
  const rows = detections.map(({ label, confidence, box }) => [
    label,
    `${(confidence * 100).toFixed(1)} %`,
    ...[box?.x, box?.y, box?.width, box?.height].map((value) => (value ?? 0).toFixed(0)),
  ]);
  const seen =
    rows.length === 0
      ? 'Nothing was seen; --min-confidence shows what is less certain.'
      : table([['label', 'confidence', 'x', 'y', 'width', 'height'], ...rows], new Set([1, 2, 3, 4, 5]));
  const once = `loaded in ${msText(timesMs.load)}, warm after ${msText(timesMs.warmUp)}, picture decoded in ${msText(timesMs.picture)}`;
  const each = `preprocess ${msText(timesMs.preprocess)}, engine ${msText(timesMs.engine)}, decode ${msText(timesMs.decode)}`;
  return [`${image}: ${width}×${height}`, '', seen, '', `${each} (${engine})`, once].join('\n');
}

const msText = (ms: number): string => `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;

/** The same for programs. */
export function pictureJson(test: PictureTest, names: { model: string; image: string; out: string | null }): object {
  const round = (value: number, digits: number): number => Number(value.toFixed(digits));
  const { timesMs: ms } = test;
  return {
    model: names.model,
    image: names.image,
    width: test.width,
    height: test.height,
    detections: test.detections.map(({ label, classId, confidence, box }) => ({
      label,
      class_id: classId,
      confidence: round(confidence, 4),
      x: round(box?.x ?? 0, 2),
      y: round(box?.y ?? 0, 2),
      width: round(box?.width ?? 0, 2),
      height: round(box?.height ?? 0, 2),
    })),
    engine: test.engine,
    times_ms: {
      load: round(ms.load, 3),
      warm_up: round(ms.warmUp, 3),
      picture: round(ms.picture, 3),
      preprocess: round(ms.preprocess, 3),
      engine: round(ms.engine, 3),
      decode: round(ms.decode, 3),
    },
    out: names.out,
  };
}
