import type { Overlay } from '../../native/contract.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { emptyOverlay, overlayOf, type SeenInFrame } from './overlay.js';

/** What was seen is drawn on for so long when nobody looks at the frames after. */
const HOLD_NS = 400_000_000n;

/**
 * What is drawn on the frames of one stream. A frame that nobody looked at gets
 * the masks, points and boxes of the last one that was, for a moment, so that they
 * do not flicker; its record stays empty.
 */
export class HeldOverlay {
  #overlay = emptyOverlay();
  #seenNs = 0n;

  /** For a frame; call it in order. `atNs`: when the frame was decoded, monotonic. */
  next(seen: SeenInFrame & { status: InferenceStatus }, atNs: bigint): Overlay {
    if (seen.status === InferenceStatus.INFERENCE_STATUS_INFERRED) {
      this.#overlay = overlayOf(seen);
      this.#seenNs = atNs;
    }
    return atNs - this.#seenNs <= HOLD_NS ? this.#overlay : emptyOverlay();
  }
}
