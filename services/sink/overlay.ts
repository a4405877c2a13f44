import type { OverlayBox } from '../../native/contract.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';

/** Turn of the colour circle between two classes: neighbours end up far apart. */
const GOLDEN_ANGLE_DEGREES = 137.508;
/** Hue of class 0, a clear green. */
const FIRST_HUE_DEGREES = 140;

/** The same colour for a class everywhere and always, 0xRRGGBB, bright enough for dark text. */
export function classColor(classId: number): number {
  const hue = (FIRST_HUE_DEGREES + classId * GOLDEN_ANGLE_DEGREES) % 360;
  return hslColor(hue, 0.85, 0.58);
}

/** What is drawn for a detection. */
export function overlayBox(detection: Detection): OverlayBox | null {
  const { box, label, confidence, classId } = detection;
  if (!box) return null;
  const percent = `${Math.round(confidence * 100)} %`;
  return {
    x: box.x,
    y: box.y,
    width: box.width,
    height: box.height,
    label: label === '' ? percent : `${label} ${percent}`,
    color: classColor(classId),
  };
}

/** Boxes of a frame; the most certain last, so that they lie on top. */
export function overlayBoxes(detections: readonly Detection[]): OverlayBox[] {
  return [...detections]
    .sort((a, b) => a.confidence - b.confidence)
    .map(overlayBox)
    .filter((box) => box !== null);
}

/** Boxes are drawn on for so long when nobody looks at the frames after. */
const HOLD_NS = 400_000_000n;

/**
 * What is drawn on the frames of one stream. A frame that nobody looked at gets
 * the boxes of the last one that was, for a moment, so that they do not flicker;
 * its record stays empty.
 */
export class Overlay {
  #boxes: OverlayBox[] = [];
  #seenNs = 0n;

  /** Boxes for a frame; call it in order. `atNs`: when the frame was decoded, monotonic. */
  boxes(status: InferenceStatus, detections: readonly Detection[], atNs: bigint): OverlayBox[] {
    if (status === InferenceStatus.INFERENCE_STATUS_INFERRED) {
      this.#boxes = overlayBoxes(detections);
      this.#seenNs = atNs;
    }
    return atNs - this.#seenNs <= HOLD_NS ? this.#boxes : [];
  }
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
