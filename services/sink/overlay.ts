import type { Overlay, OverlayBox, OverlayMask, OverlayPoints } from '../../native/contract.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { SegmentationMask } from '#proto/framebus/detection/v1/segmentation_mask.js';

/** Turn of the colour circle between two classes: neighbours end up far apart. */
const GOLDEN_ANGLE_DEGREES = 137.508;
/** Hue of class 0, a clear green. */
const FIRST_HUE_DEGREES = 140;

/** The same colour for a class everywhere and always, 0xRRGGBB, bright enough for dark text. */
export function classColor(classId: number): number {
  const hue = (FIRST_HUE_DEGREES + classId * GOLDEN_ANGLE_DEGREES) % 360;
  return hslColor(hue, 0.85, 0.58);
}

/** What is drawn of what was seen in a frame. */
export interface SeenInFrame {
  detections: readonly Detection[];
  masks: readonly SegmentationMask[];
}

/**
 * Masks in the colours of their classes; points, parts and boxes in that of the
 * object's class; the most certain object last, so that it lies on top.
 */
export function overlayOf({ detections, masks }: SeenInFrame): Overlay {
  const objects = detections.toSorted((a, b) => a.confidence - b.confidence);
  return {
    masks: masks.map(overlayMask).filter((mask) => mask !== null),
    points: objects.flatMap((object) => pointsOf(object, classColor(object.classId))),
    boxes: objects.flatMap((object) => boxesOf(object, classColor(object.classId), false)),
  };
}

export const emptyOverlay = (): Overlay => ({ masks: [], points: [], boxes: [] });

/** A detection and its parts; what has no box is not drawn. */
function boxesOf(detection: Detection, color: number, part: boolean): OverlayBox[] {
  const { box } = detection;
  const parts = detection.parts.flatMap((one) => boxesOf(one, color, true));
  if (!box) return parts;
  const { x, y, width, height } = box;
  return [{ x, y, width, height, label: labelOf(detection), color, part }, ...parts];
}

/** For example "car 87 % · red 91 %": the object's class, then its attributes. */
function labelOf({ label, confidence, attributes }: Detection): string {
  return [{ label, confidence }, ...attributes].map(scoreText).join(' · ');
}

function scoreText({ label, confidence }: { label: string; confidence: number }): string {
  const percent = `${Math.round(confidence * 100)} %`;
  return label === '' ? percent : `${label} ${percent}`;
}

/** Landmarks of a detection and of its parts. */
function pointsOf({ landmarks, parts }: Detection, color: number): OverlayPoints[] {
  const own = landmarks.length === 0 ? [] : [{ xy: Float32Array.from(landmarks.flatMap(({ x, y }) => [x, y])), color }];
  return [...own, ...parts.flatMap((part) => pointsOf(part, color))];
}

function overlayMask({ area, width: columns, height: rows, runs, label, classId }: SegmentationMask): OverlayMask | null {
  if (!area) return null;
  const { x, y, width, height } = area;
  return { x, y, width, height, columns, rows, runs: new Uint32Array(runs), label, color: classColor(classId) };
}

/** HSL (degrees, 0–1, 0–1) to 0xRRGGBB; the formula of CSS Color 4. */
function hslColor(hue: number, saturation: number, lightness: number): number {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): number => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return (channel(0) << 16) | (channel(8) << 8) | channel(4);
}
