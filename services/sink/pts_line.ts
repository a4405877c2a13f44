/** A jump of the timestamps that the decoder's clock does not know of, in nanoseconds. */
const MAX_LEAP_NS = 10_000_000_000n;
/** Least distance between two frames after a jump, in nanoseconds. */
const MIN_STEP_NS = 1_000_000n;

/**
 * Makes one rising line of a stream's timestamps. A source that starts again,
 * or jumps, goes on where the line was, by the time that passed between the
 * decoded frames: encoder and viewers never see time stand still or run back.
 */
export class PtsLine {
  #offsetNs = 0n;
  #last: { outNs: bigint; decodedNs: bigint } | null = null;

  /** The timestamp to use for a frame, strictly above the one before. */
  next(ptsNs: bigint, decodedMonotonicNs: bigint): bigint {
    let outNs = ptsNs + this.#offsetNs;
    if (this.#last !== null) {
      const passedNs = decodedMonotonicNs - this.#last.decodedNs;
      const stepNs = outNs - this.#last.outNs;
      if (stepNs <= 0n || stepNs - passedNs > MAX_LEAP_NS) {
        const goodNs = passedNs > MIN_STEP_NS ? passedNs : MIN_STEP_NS;
        this.#offsetNs += goodNs - stepNs;
        outNs = this.#last.outNs + goodNs;
      }
    }
    this.#last = { outNs, decodedNs: decodedMonotonicNs };
    return outNs;
  }
}
