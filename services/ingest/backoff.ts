/** Exponential backoff with full jitter above half: d/2 + random × d/2, doubling up to `maxMs`. */
export class Backoff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #nextMs: number;

  constructor(initialMs: number, maxMs: number, random: () => number = Math.random) {
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
    this.#random = random;
    this.#nextMs = initialMs;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const ceiling = this.#nextMs;
    this.#nextMs = Math.min(this.#maxMs, this.#nextMs * 2);
    return Math.round(ceiling / 2 + (this.#random() * ceiling) / 2);
  }

  /** It works again: the next failure waits the initial time. */
  reset(): void {
    this.#nextMs = this.#initialMs;
  }
}
