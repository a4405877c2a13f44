import type { Overlay } from '../../native/contract.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { overlayOf, type ObjectStyle, type SeenInFrame } from './overlay.js';

/** What was seen is drawn on for so long when nobody looks at the frames after. */
const HOLD_NS = 400_000_000n;

/**
 * What is drawn of objects on the frames of one stream. A frame that nobody looked at gets
 * the masks and the objects without a track of the last one that was, for a moment, so
 * that they do not flicker; tracked objects are where its record expects them.
 */
export class HeldOverlay {
  readonly #style: ObjectStyle;
  #held: SeenInFrame = { detections: [], masks: [] };
  #seenNs = 0n;

  constructor(style: ObjectStyle) {
    this.#style = style;
  }

  /** For a frame; call it in order. `atNs`: when the frame was decoded, monotonic. */
  next({ status, detections, masks }: SeenInFrame & { status: InferenceStatus }, atNs: bigint): Overlay {
    if (status === InferenceStatus.INFERENCE_STATUS_INFERRED) {
      this.#held = { detections: detections.filter(({ trackId }) => trackId === 0n), masks };
      this.#seenNs = atNs;
      return overlayOf({ detections, masks }, this.#style);
    }
    const held = atNs - this.#seenNs <= HOLD_NS ? this.#held : { detections: [], masks: [] };
    return overlayOf({ detections: [...held.detections, ...detections], masks: held.masks }, this.#style);
  }
}
