import type { FrameRegion } from '../../native/contract.js';
import type { LeasedFrame } from './leased_frame.js';
import type { ModelMetrics } from './metrics.js';
import type { ResultPublisher } from './result_publisher.js';
import type { Refinement, SecondStage } from './second_stage.js';
import type { BatchRun, Seen, Work } from './work.js';

export interface FrameAnswersParts {
  publisher: Pick<ResultPublisher, 'inferred' | 'failed' | 'expired' | 'revoked' | 'flushed'>;
  metrics: ModelMetrics;
  /** null: the streams have no secondary models. */
  secondStage: SecondStage | null;
  /** A frame has been let go. */
  onLetGo: () => void;
}

/**
 * Answers for the frames of one served model: publishes what was seen, and ends the
 * lease once NATS has it. Should this process die before, ingest sees a frame that
 * is still held, and hands it on.
 */
export class FrameAnswers {
  readonly #parts: FrameAnswersParts;
  readonly #open = new Set<LeasedFrame>();
  /** Answered; they go with the next flush. */
  #leaving: LeasedFrame[] = [];
  /** Called when no frame is open. */
  #idle: (() => void)[] = [];

  constructor(parts: FrameAnswersParts) {
    this.#parts = parts;
  }

  /** Frames that are leased and not let go. */
  get open(): number {
    return this.#open.size;
  }

  /** Resolves when every frame has been let go. */
  idle(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** A frame that was leased just now, as a place in a batch. It is answered for in any case. */
  work(leased: LeasedFrame, region: FrameRegion | null): Work {
    this.#open.add(leased);
    this.#parts.metrics.taken(leased.streamId);
    const { streamId, oneABatch, deadlineMs, lease, leasedNs } = leased;
    return {
      streamId,
      oneABatch,
      deadlineMs,
      lease,
      leasedNs,
      region,
      filter: streamId,
      done: (seen, run) => this.#seen(leased, seen, run),
      failed: (reason) => this.#giveUp(leased, 'failed', reason),
      expired: (reason) => this.#giveUp(leased, 'expired', reason),
    };
  }

  #seen(leased: LeasedFrame, seen: Seen, run: BatchRun): void {
    const refining = this.#parts.secondStage?.refine(leased, seen, run) ?? null;
    if (refining === null) return this.#answer(leased, seen, run, null);
    void refining.then((refinement) => this.#answer(leased, seen, run, refinement));
  }

  #answer(leased: LeasedFrame, seen: Seen, { manifest, times, size }: BatchRun, refinement: Refinement | null): void {
    const { frame, lease, leasedNs } = leased;
    const { publisher } = this.#parts;
    // A revoked lease means that ingest has answered for the frame, and its pixels may have changed.
    if (lease.valid()) publisher.inferred({ frame, manifest, ...seen, refinement, leasedNs, times, batchSize: size });
    else publisher.revoked(frame);
    this.#leave(leased);
  }

  #giveUp(leased: LeasedFrame, how: 'failed' | 'expired', reason: string): void {
    const { publisher } = this.#parts;
    // As above: somebody else has answered for it.
    if (leased.lease.valid()) publisher[how](leased.frame, leased.leasedNs, reason);
    else publisher.revoked(leased.frame);
    this.#leave(leased);
  }

  #leave(leased: LeasedFrame): void {
    this.#leaving.push(leased);
    // One flush for all frames of a batch.
    if (this.#leaving.length === 1) queueMicrotask(() => void this.#letGo());
  }

  async #letGo(): Promise<void> {
    const leaving = this.#leaving;
    this.#leaving = [];
    await this.#parts.publisher.flushed();
    for (const leased of leaving) {
      leased.lease.release();
      this.#open.delete(leased);
      this.#parts.metrics.letGo(leased.streamId);
    }
    if (this.#open.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
    this.#parts.onLetGo();
  }
}
