import type { ModelManifest } from '../../models/manifest.js';
import type { FrameRegion, PreprocessGeometry } from '../../native/contract.js';
import { toClassMasks, type ClassMask } from './class_mask.js';
import type { ClassScore, Findings, RawTensor } from './findings.js';
import { toFrameBoxes, toFrameLandmarks } from './frame_boxes.js';
import { nonMaximumSuppression } from './nms.js';

/** What was found in one frame, beside boxes. Plain data: it crosses from worker threads. */
export interface FrameFindings {
  /** See `toFrameLandmarks`; as many a box for all boxes. */
  landmarks: Float32Array;
  /** Best first. */
  classes: ClassScore[];
  masks: ClassMask[];
  tensors: RawTensor[];
}

/** A frame as it went into the network. */
export interface PreprocessedFrame {
  geometry: PreprocessGeometry;
  /** Pixels of the frame. */
  width: number;
  height: number;
  /** The part that the network saw; null: all of it. */
  region: FrameRegion | null;
  /** See `Decoder.decode`. */
  thresholds: Float64Array;
}

/** Of a frame in which nothing was found but boxes. */
export const noFindings = (): FrameFindings => ({ landmarks: new Float32Array(0), classes: [], masks: [], tensors: [] });

/** From what a decoder has found to what is in the frame: suppression, order, the way back to pixels of the frame. */
export function toFrameFindings(
  found: Findings,
  manifest: ModelManifest,
  frame: PreprocessedFrame,
): { rows: Float32Array; findings: FrameFindings } {
  const { geometry, width, height, region, thresholds } = frame;
  const shown = region ?? { x: 0, y: 0, width, height };
  const kept = nonMaximumSuppression(found.boxes, manifest.nms, manifest.topK);
  const picture = { geometry, shown, inputWidth: manifest.input.width, inputHeight: manifest.input.height };
  const wanted = (classIndex: number): boolean => (thresholds[classIndex] ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY;
  return {
    rows: toFrameBoxes(found.boxes, kept, geometry, shown),
    findings: {
      landmarks: toFrameLandmarks(found.boxes, kept, geometry, shown),
      classes: best(found.classes, manifest.topK, (classIndex) => thresholds[classIndex] ?? Number.NaN),
      masks: found.map === null ? [] : toClassMasks(found.map, picture, wanted),
      // Copied, because the outputs are the engine's.
      tensors: found.tensors.map((tensor) => ({ ...tensor, bytes: tensor.bytes.slice() })),
    },
  };
}

function best(classes: readonly ClassScore[], count: number, threshold: (classIndex: number) => number): ClassScore[] {
  return classes
    .filter(({ classIndex, score }) => score > threshold(classIndex))
    .toSorted((a, b) => b.score - a.score || a.classIndex - b.classIndex)
    .slice(0, count);
}
