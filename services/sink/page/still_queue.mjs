/** A picture that has not come by then is given up. */
const PATIENCE_MS = 5000;
/** Between two pictures, whosever they are: nobody needs them faster. */
const LEAST_PAUSE_MS = 40;

/** Fetches single pictures, again and again, one at a time: that takes one connection for all. */
export class StillQueue {
  /** @type {Set<{url: string, everyMs: number, dueMs: number, show: (picture: Blob) => void}>} */
  #wanted = new Set();
  #timer = 0;
  #busy = false;

  /**
   * @param {string} url
   * @param {number} everyMs least time between two of them
   * @param {(picture: Blob) => void} show
   * @returns {() => void} ends it
   */
  add(url, everyMs, show) {
    const wanted = { url, everyMs, dueMs: performance.now(), show };
    this.#wanted.add(wanted);
    this.#plan();
    return () => this.#wanted.delete(wanted);
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#busy || this.#wanted.size === 0) return;
    const next = [...this.#wanted].reduce((a, b) => (b.dueMs < a.dueMs ? b : a));
    this.#timer = setTimeout(() => void this.#fetch(next), Math.max(LEAST_PAUSE_MS, next.dueMs - performance.now()));
  }

  async #fetch(wanted) {
    this.#busy = true;
    try {
      const response = await fetch(wanted.url, { signal: AbortSignal.timeout(PATIENCE_MS), cache: 'no-store' });
      const picture = response.ok ? await response.blob() : null;
      if (picture && this.#wanted.has(wanted)) wanted.show(picture);
    } catch {
      // Its turn comes again; the card says how the stream is.
    }
    wanted.dueMs = performance.now() + wanted.everyMs;
    this.#busy = false;
    this.#plan();
  }
}
