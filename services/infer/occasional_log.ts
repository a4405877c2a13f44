/**
 * Lets one line through every so often, and says how many were held back: for
 * what can happen with every frame.
 */
export class OccasionalLog {
  readonly #intervalMs: number;
  readonly #nowMs: () => number;
  #lastMs = Number.NEGATIVE_INFINITY;
  #heldBack = 0;

  constructor(intervalMs = 5_000, nowMs: () => number = () => performance.now()) {
    this.#intervalMs = intervalMs;
    this.#nowMs = nowMs;
  }

  /** Calls `write` with the number of lines held back before, or holds this one back. */
  write(write: (heldBack: number) => void): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#lastMs < this.#intervalMs) {
      this.#heldBack += 1;
      return;
    }
    this.#lastMs = nowMs;
    write(this.#heldBack);
    this.#heldBack = 0;
  }
}
