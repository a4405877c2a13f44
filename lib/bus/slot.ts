import type { Plane, WritableSlot } from '../../native/contract.js';

/** What is known of a frame besides its pixels. */
export interface FrameTimes {
  /** Presentation time on the stream's own clock, in nanoseconds. Default: time since the producer was opened. */
  ptsNs?: bigint;
  /** When it was captured, on this host's clock; records then have the latency from there. Default: now. */
  captureTime?: Date;
}

/** A slot of shared memory to write a frame into, and then to publish or discard. */
export class Slot implements Disposable {
  readonly #slot: WritableSlot;
  readonly #onPublish: (publish: () => bigint, slot: number, times: FrameTimes) => void;
  readonly #onEnd: () => void;
  #planes: readonly Plane[] | null = null;
  #ended = false;

  /** @internal Slots come from `Producer.acquire` and `nextSlot`. */
  constructor(
    slot: WritableSlot,
    onPublish: (publish: () => bigint, slot: number, times: FrameTimes) => void,
    onEnd: () => void,
  ) {
    this.#slot = slot;
    this.#onPublish = onPublish;
    this.#onEnd = onEnd;
  }

  /**
   * The planes to write to; what is in them is undefined. Row y begins at y × stride.
   * @throws FRAME_RELEASED after `publish` or `discard`
   */
  get planes(): readonly Plane[] {
    if (this.#planes === null || this.#ended) this.#planes = this.#slot.planes();
    return this.#planes;
  }

  /** Publishes the frame; the planes' data has length 0 afterwards. @throws FRAME_RELEASED */
  publish(times: FrameTimes = {}): void {
    this.#onPublish(() => this.#slot.publish(), this.#slot.slot, times);
    this.#end();
  }

  /** Gives the slot back without a frame. Idempotent. */
  discard(): void {
    this.#slot.discard();
    this.#end();
  }

  [Symbol.dispose](): void {
    this.discard();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#planes = null;
    this.#onEnd();
  }
}
