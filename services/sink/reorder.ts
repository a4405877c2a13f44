/** Where a frame stands in its stream. */
export interface Position {
  /** Creation of the frame's epoch, nanoseconds since the Unix epoch. */
  epochCreatedNs: bigint;
  /** Number of the frame in the stream. */
  seq: bigint;
  /** Frames right before this one that will never come. */
  missingBefore: number;
}

export interface ReorderOptions<T> {
  /** Frames that may wait for an earlier one; one more gives the earliest gap up. */
  size: number;
  /** Longest time that a frame waits for an earlier one, in milliseconds. */
  deadlineMs: number;
  /** Gets every accepted item once, in order. */
  emit: (item: T) => void;
}

/** Why a frame was not taken in. late: a later one has gone out. duplicate: it is here, or was. */
export type ReorderRefusal = 'late' | 'duplicate';

interface Held<T> {
  position: Position;
  item: T;
  arrivedMs: number;
}

/** Emitted positions remembered to tell a duplicate from a late frame. */
const REMEMBERED = 512;

/** An older epoch that comes when nothing else has for so long is the stream's new one: a clock was set back. */
const NEW_BEGINNING_MS = 5_000;

/** Negative when `a` stands before `b`. */
export function comparePositions(a: Position, b: Position): number {
  if (a.epochCreatedNs !== b.epochCreatedNs) return a.epochCreatedNs < b.epochCreatedNs ? -1 : 1;
  if (a.seq !== b.seq) return a.seq < b.seq ? -1 : 1;
  return 0;
}

const keyOf = (position: Position): string => `${position.epochCreatedNs}/${position.seq}`;

/**
 * Puts the frames of one stream back in order. A frame goes out at once when
 * it follows the one before; otherwise it waits for the gap to fill, at most
 * until its deadline or until the window is full. Output is strictly
 * increasing: what comes after that is refused as late.
 */
export class ReorderWindow<T> {
  readonly #options: ReorderOptions<T>;
  readonly #nowMs: () => number;
  /** In order of position. */
  readonly #held: Held<T>[] = [];
  /** Keys of the latest emitted positions, oldest first. */
  readonly #emitted = new Set<string>();
  #last: Position | null = null;
  #acceptedMs = -Infinity;

  constructor(options: ReorderOptions<T>, nowMs: () => number) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /** Number of frames that wait. */
  get held(): number {
    return this.#held.length;
  }

  /** Takes a frame in and emits what is in order; a refused item stays the caller's. */
  push(position: Position, item: T): 'accepted' | ReorderRefusal {
    if (this.#emitted.has(keyOf(position))) return 'duplicate';
    if (this.#last !== null && comparePositions(position, this.#last) < 0) {
      if (!this.#beginsAnew(position, this.#last)) return 'late';
      this.#last = null;
    }
    const at = this.#placeOf(position);
    const there = this.#held[at];
    if (there && comparePositions(there.position, position) === 0) return 'duplicate';
    this.#acceptedMs = this.#nowMs();
    this.#held.splice(at, 0, { position, item, arrivedMs: this.#acceptedMs });
    this.#release();
    return 'accepted';
  }

  /** When `tick` has something to do, on the injected clock; null when nothing waits. */
  nextDeadlineMs(): number | null {
    if (this.#held.length === 0) return null;
    return Math.min(...this.#held.map((h) => h.arrivedMs)) + this.#options.deadlineMs;
  }

  /** Gives up the gaps that frames have waited for too long. */
  tick(): void {
    const before = this.#nowMs() - this.#options.deadlineMs;
    const latest = this.#held.findLastIndex((h) => h.arrivedMs <= before);
    this.#emit(latest + 1);
    this.#release();
  }

  /** Emits all that waits, in order. */
  flush(): void {
    this.#emit(this.#held.length);
  }

  #beginsAnew(position: Position, last: Position): boolean {
    return (
      position.epochCreatedNs !== last.epochCreatedNs &&
      this.#held.length === 0 &&
      this.#nowMs() - this.#acceptedMs > NEW_BEGINNING_MS
    );
  }

  /** Index at which the position belongs. */
  #placeOf(position: Position): number {
    const after = this.#held.findLastIndex((h) => comparePositions(h.position, position) < 0);
    return after + 1;
  }

  #release(): void {
    this.#emit(Math.max(0, this.#held.length - this.#options.size));
    for (let head = this.#held[0]; head && this.#follows(head.position); head = this.#held[0]) {
      this.#emit(1);
    }
  }

  /** Whether nothing can come between the last emitted frame and this one. */
  #follows(position: Position): boolean {
    const first = position.seq - BigInt(position.missingBefore);
    if (this.#last === null) {
      // A stream that is met in its middle has no beginning worth waiting for.
      return first <= 0n || position.seq >= BigInt(this.#options.size);
    }
    if (first <= this.#last.seq + 1n && position.seq > this.#last.seq) return true;
    return first <= 0n && position.epochCreatedNs > this.#last.epochCreatedNs;
  }

  #emit(count: number): void {
    for (const { position, item } of this.#held.splice(0, count)) {
      this.#last = position;
      this.#remember(position);
      this.#options.emit(item);
    }
  }

  #remember(position: Position): void {
    this.#emitted.add(keyOf(position));
    if (this.#emitted.size <= REMEMBERED) return;
    for (const oldest of this.#emitted) {
      this.#emitted.delete(oldest);
      break;
    }
  }
}
