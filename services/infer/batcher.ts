/** What the batcher needs to know of a frame. */
export interface Batchable {
  readonly streamId: string;
  /** At most one frame of its stream in a batch (`latest`), or as many as fit (`lossless`). */
  readonly oneABatch: boolean;
  /** When its lease ends, on the batcher's clock; Infinity: it may wait for as long as its turn takes. */
  readonly deadlineMs: number;
}

export interface BatcherOptions {
  /** Most frames of a batch. */
  size: number;
  /** A batch starts when its oldest frame has waited for so long, full or not. */
  maxAgeMs: number;
}

interface Waiting<T> {
  frame: T;
  sinceMs: number;
}

/**
 * Collects frames of many streams into batches for an executor that is idle.
 *
 * A batch starts when it is full, when its oldest frame is old enough, or when
 * no further frame is known to be on its way: an idle executor waits for
 * nothing that may not come. Streams take turns.
 */
export class Batcher<T extends Batchable> {
  readonly #options: BatcherOptions;
  readonly #nowMs: () => number;
  /** By stream, the one whose turn is next first; no list is empty. */
  readonly #queues = new Map<string, Waiting<T>[]>();
  #length = 0;
  #size: number;

  constructor(options: BatcherOptions, nowMs: () => number) {
    this.#options = options;
    this.#size = options.size;
    this.#nowMs = nowMs;
  }

  /** Frames that wait. */
  get length(): number {
    return this.#length;
  }

  /** Whether a batch could be no larger if it waited. */
  get full(): boolean {
    return this.#takeable() >= this.#size;
  }

  /** Most frames of a batch from now on. */
  resize(size: number): void {
    this.#size = size;
  }

  add(frame: T): void {
    const waiting = { frame, sinceMs: this.#nowMs() };
    const queue = this.#queues.get(frame.streamId);
    if (queue === undefined) this.#queues.set(frame.streamId, [waiting]);
    else queue.push(waiting);
    this.#length += 1;
  }

  /**
   * The next batch for an executor that is idle, or null when it is better to wait.
   *
   * @param coming frames that are known to be on their way
   */
  take(coming: number): T[] | null {
    if (this.#length === 0) return null;
    const due = coming <= 0 || this.full || this.dueInMs() === 0;
    return due ? this.#takeInTurn() : null;
  }

  /**
   * Takes out the frames whose lease ends within `leadMs`, that is, before a batch that
   * starts now would be done. The turns of the others stay as they are.
   */
  takeExpired(leadMs: number): T[] {
    const limitMs = this.#nowMs() + leadMs;
    const isExpired = ({ frame }: Waiting<T>): boolean => frame.deadlineMs <= limitMs;
    const expired: T[] = [];
    for (const [streamId, queue] of this.#queues) {
      if (!queue.some(isExpired)) continue;
      expired.push(...queue.filter(isExpired).map(({ frame }) => frame));
      const left = queue.filter((waiting) => !isExpired(waiting));
      // Writing to a key that is there leaves its place in the map.
      if (left.length > 0) this.#queues.set(streamId, left);
      else this.#queues.delete(streamId);
    }
    this.#length -= expired.length;
    return expired;
  }

  /** Milliseconds until `takeExpired` has a frame to give; null when no frame has a deadline. */
  expiresInMs(leadMs: number): number | null {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) {
      for (const { frame } of queue) earliestMs = Math.min(earliestMs, frame.deadlineMs);
    }
    if (earliestMs === Number.POSITIVE_INFINITY) return null;
    return Math.max(0, earliestMs - leadMs - this.#nowMs());
  }

  /** Milliseconds until the oldest frame is old enough; null when none waits. */
  dueInMs(): number | null {
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#queues.values()) oldestMs = Math.min(oldestMs, queue[0]?.sinceMs ?? oldestMs);
    if (oldestMs === Number.POSITIVE_INFINITY) return null;
    return Math.max(0, oldestMs + this.#options.maxAgeMs - this.#nowMs());
  }

  /** Takes all that wait, in turn; for the end. */
  clear(): T[] {
    const frames = [...this.#queues.values()].flatMap((queue) => queue.map(({ frame }) => frame));
    this.#queues.clear();
    this.#length = 0;
    return frames;
  }

  /** Frames that one batch could hold now. */
  #takeable(): number {
    let count = 0;
    for (const queue of this.#queues.values()) count += queue[0]?.frame.oneABatch === true ? 1 : queue.length;
    return count;
  }

  #takeInTurn(): T[] {
    const batch: T[] = [];
    for (let before = -1; batch.length > before && batch.length < this.#size; ) {
      before = batch.length;
      const first = before === 0;
      // A copy, because the turn changes while we walk.
      for (const streamId of [...this.#queues.keys()]) {
        if (batch.length === this.#size) break;
        const frame = this.#takeOf(streamId, first);
        if (frame !== null) batch.push(frame);
      }
    }
    return batch;
  }

  /** The oldest frame of a stream, whose next turn is then last. */
  #takeOf(streamId: string, first: boolean): T | null {
    const queue = this.#queues.get(streamId);
    const head = queue?.[0];
    if (queue === undefined || head === undefined || (head.frame.oneABatch && !first)) return null;
    queue.shift();
    this.#length -= 1;
    this.#queues.delete(streamId);
    if (queue.length > 0) this.#queues.set(streamId, queue);
    return head.frame;
  }
}
