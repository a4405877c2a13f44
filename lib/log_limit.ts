/** Least time between two lines about the same thing. */
const PAUSE_MS = 5_000;
/** Things remembered at most. */
const MAX_KEYS = 256;

/** Keeps the log readable when the same thing happens with every frame. */
export class LogLimit {
  readonly #nowMs: () => number;
  readonly #last = new Map<string, { atMs: number; skipped: number }>();

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Null: say nothing now. Otherwise the number of times that nothing was said since the last line. */
  take(key: string): number | null {
    const nowMs = this.#nowMs();
    const last = this.#last.get(key);
    if (last && nowMs - last.atMs < PAUSE_MS) {
      last.skipped++;
      return null;
    }
    if (!last && this.#last.size >= MAX_KEYS) this.#last.clear();
    this.#last.set(key, { atMs: nowMs, skipped: 0 });
    return last?.skipped ?? 0;
  }
}
