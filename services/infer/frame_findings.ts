import type { ModelManifest } from '../../models/manifest.js';
import type { FrameRegion, PreprocessGeometry } from '../../native/contract.js';
import type { Candidates } from './candidates.js';
import { toClassMasks, type ClassMask } from './class_mask.js';
import type { ClassScore, Findings, RawTensor } from './findings.js';
import { toFrameBoxes, toFrameLandmarks } from './frame_boxes.js';
import { nonMaximumSuppression } from './nms.js';

/** Boxes in a frame. */
export interface FoundBoxes {
  /** See `toFrameBoxes`. */
  rows: Float32Array;
  /** See `toFrameLandmarks`; as many a box for all boxes. */
  landmarks: Float32Array;
}

/** What was found in one frame, beside the boxes that are reported. Plain data: it crosses from worker threads. */
export interface FrameFindings {
  /** See `toFrameLandmarks`; as many a box for all boxes. */
  landmarks: Float32Array;
  /** Best first. */
  classes: ClassScore[];
  masks: ClassMask[];
  tensors: RawTensor[];
  /** Boxes whose scores are not above the thresholds, for the tracker. */
  weak: FoundBoxes;
}

/** A frame as it went into the network. */
export interface PreprocessedFrame {
  geometry: PreprocessGeometry;
  /** Pixels of the frame. */
  width: number;
  height: number;
  /** The part that the network saw; null: all of it. */
  region: FrameRegion | null;
  /** Boxes, classes and masks are reported by these; decoders may have been given lower ones. */
  thresholds: Float64Array;
}

/** Of a frame in which nothing was found but boxes. */
export const noFindings = (): FrameFindings => ({ landmarks: new Float32Array(0), classes: [], masks: [], tensors: [], weak: { rows: new Float32Array(0), landmarks: new Float32Array(0) } });

/** From what a decoder has found to what is in the frame: suppression, order, the way back to pixels of the frame. */
export function toFrameFindings(
  found: Findings,
  manifest: ModelManifest,
  frame: PreprocessedFrame,
): { rows: Float32Array; findings: FrameFindings } {
  const { geometry, width, height, region, thresholds } = frame;
  const shown = region ?? { x: 0, y: 0, width, height };
  const { strong, weak } = suppressed(found.boxes, manifest, thresholds);
  const inFrame = (kept: readonly number[]): FoundBoxes => ({
    rows: toFrameBoxes(found.boxes, kept, geometry, shown),
    landmarks: toFrameLandmarks(found.boxes, kept, geometry, shown),
  });
  const { rows, landmarks } = inFrame(strong);
  const picture = { geometry, shown, inputWidth: manifest.input.width, inputHeight: manifest.input.height };
  const wanted = (classIndex: number): boolean => (thresholds[classIndex] ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY;
  return {
    rows,
    findings: {
      landmarks,
      classes: best(found.classes, manifest.topK, (classIndex) => thresholds[classIndex] ?? Number.NaN),
      masks: found.map === null ? [] : toClassMasks(found.map, picture, wanted),
      // Copied, because the outputs are the engine's.
      tensors: found.tensors.map((tensor) => ({ ...tensor, bytes: tensor.bytes.slice() })),
      weak: inFrame(weak),
    },
  };
}

/**
 * Boxes that stay. Weak ones are judged after the others, and have the places that these
 * leave: what is reported is the same with and without them.
 */
function suppressed(boxes: Candidates, { nms, topK }: ModelManifest, thresholds: Float64Array): { strong: number[]; weak: number[] } {
  const { scores, classes, count } = boxes;
  const isStrong = (index: number): boolean => (scores[index] as number) > (thresholds[classes[index] as number] ?? Number.NaN);
  let strongCount = 0;
  for (let index = 0; index < count; index++) if (isStrong(index)) strongCount += 1;
  if (strongCount === count) return { strong: nonMaximumSuppression(boxes, nms, topK), weak: [] };
  const strong = nonMaximumSuppression(boxes, nms, topK, isStrong);
  const all = nonMaximumSuppression(boxes, nms, topK, (index) => !isStrong(index), strong);
  return { strong, weak: all.slice(strong.length) };
}

function best(classes: readonly ClassScore[], count: number, threshold: (classIndex: number) => number): ClassScore[] {
  return classes
    .filter(({ classIndex, score }) => score > threshold(classIndex))
    .toSorted((a, b) => b.score - a.score || a.classIndex - b.classIndex)
    .slice(0, count);
}
