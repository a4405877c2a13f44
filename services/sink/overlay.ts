import type { OsdConfig } from '../../lib/config.js';
import type { Overlay, OverlayBox, OverlayMask, OverlayPoints } from '../../native/contract.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { SegmentationMask } from '#proto/framebus/detection/v1/segmentation_mask.js';

/** Turn of the colour circle between two numbers: neighbours end up far apart. */
const GOLDEN_ANGLE_DEGREES = 137.508;
/** Hue of number 0, a clear green. */
const FIRST_HUE_DEGREES = 140;

/** How objects are drawn. */
export type ObjectStyle = Pick<OsdConfig, 'color' | 'label'>;

/** Of pictures that belong to no stream. */
const PLAIN: ObjectStyle = { color: 'class', label: ['name', 'confidence', 'attributes'] };

/** The same colour for a class everywhere and always, 0xRRGGBB, bright enough for dark text. */
export const classColor = (classId: number): number => numberColor(classId);

/** What the colour of an object tells; one that has no track has the colour of its class. */
export function objectColor({ classId, trackId }: Pick<Detection, 'classId' | 'trackId'>, { color }: Pick<ObjectStyle, 'color'>): number {
  return numberColor(color === 'track' && trackId !== 0n ? trackNumber(trackId) : classId);
}

/** The part of a track id that counts; the other one is the tracker's start. */
export const trackNumber = (trackId: bigint): number => Number(trackId & 0xffff_ffffn);

function numberColor(number: number): number {
  const hue = (FIRST_HUE_DEGREES + number * GOLDEN_ANGLE_DEGREES) % 360;
  return hslColor(hue, 0.85, 0.58);
}

/** What is drawn of what was seen in a frame. */
export interface SeenInFrame {
  detections: readonly Detection[];
  masks: readonly SegmentationMask[];
}

/**
 * Masks in the colours of their classes; points, parts and boxes in that of the
 * object; the most certain object last, so that it lies on top.
 */
export function overlayOf({ detections, masks }: SeenInFrame, style: ObjectStyle = PLAIN): Overlay {
  const objects = detections.toSorted((a, b) => a.confidence - b.confidence);
  return {
    ...emptyOverlay(),
    masks: masks.map((mask) => overlayMask(mask, style)).filter((mask) => mask !== null),
    points: objects.flatMap((object) => pointsOf(object, objectColor(object, style))),
    boxes: objects.flatMap((object) => boxesOf(object, objectColor(object, style), false, style)),
  };
}

export const emptyOverlay = (): Overlay => ({
  concealed: [],
  masks: [],
  lines: [],
  points: [],
  boxes: [],
  texts: [],
  lineWidth: 0,
  fontSize: 0,
});

/** A detection and its parts; what has no box is not drawn. */
function boxesOf(detection: Detection, color: number, part: boolean, style: ObjectStyle): OverlayBox[] {
  const { box } = detection;
  const parts = detection.parts.flatMap((one) => boxesOf(one, color, true, style));
  if (!box) return parts;
  const { x, y, width, height } = box;
  return [{ x, y, width, height, label: labelOf(detection, style), color, part }, ...parts];
}

/** For example "car #12 87 % · red 91 %": the object's class, then its attributes. */
function labelOf({ label, trackId, confidence, attributes }: Detection, { label: shown }: ObjectStyle): string {
  const percent = (score: number): string => (shown.includes('confidence') ? `${Math.round(score * 100)} %` : '');
  const name = shown.includes('name') ? label : '';
  const track = shown.includes('track') && trackId !== 0n ? `#${trackNumber(trackId)}` : '';
  const more = shown.includes('attributes') ? attributes : [];
  const parts = [[name, track, percent(confidence)], ...more.map((one) => [one.label, percent(one.confidence)])];
  return joined(parts.map((words) => joined(words, ' ')), ' · ');
}

const joined = (words: readonly string[], by: string): string => words.filter((word) => word !== '').join(by);

/** Landmarks of a detection and of its parts. */
function pointsOf({ landmarks, parts }: Detection, color: number): OverlayPoints[] {
  const own = landmarks.length === 0 ? [] : [{ xy: Float32Array.from(landmarks.flatMap(({ x, y }) => [x, y])), color }];
  return [...own, ...parts.flatMap((part) => pointsOf(part, color))];
}

function overlayMask({ area, width: columns, height: rows, runs, label, classId }: SegmentationMask, style: ObjectStyle): OverlayMask | null {
  if (!area) return null;
  const { x, y, width, height } = area;
  const name = style.label.includes('name') ? label : '';
  return { x, y, width, height, columns, rows, runs: new Uint32Array(runs), label: name, color: classColor(classId) };
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
