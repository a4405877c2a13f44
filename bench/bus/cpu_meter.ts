/** CPU that this process uses between the last frame of a block's warm-up and the block's last frame. */
export class CpuMeter {
  readonly #last: number;
  readonly #firstCounted: number;
  #start = process.cpuUsage();

  constructor({ warmUp, frames }: { warmUp: number; frames: number }) {
    this.#firstCounted = warmUp;
    this.#last = warmUp + frames - 1;
  }

  /** To be called when frame `index` is done with; the first to count must not be frame 0. */
  done(index: number): 'warming' | 'started' | 'counting' | 'complete' {
    if (index === this.#firstCounted - 1) {
      this.#start = process.cpuUsage();
      return 'started';
    }
    if (index === this.#last) return 'complete';
    return index < this.#firstCounted ? 'warming' : 'counting';
  }

  counts(index: number): boolean {
    return index >= this.#firstCounted;
  }

  /** Microseconds, all threads of the process. */
  usedUs(): number {
    const { user, system } = process.cpuUsage(this.#start);
    return user + system;
  }
}
