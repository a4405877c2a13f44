import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

const MOST = 4_096;
const MOST_BYTES = 32 << 20;

/** A record that the server has not answered for. */
export interface PendingRecord {
  /** Set when it is added. */
  id?: number;
  record: DetectionRecord;
  data: Uint8Array;
  /** When it is not waited for any longer; `performance.now`. */
  deadlineMs: number;
  /** Whether it was published. */
  sent: boolean;
}

interface Slot {
  entry: PendingRecord;
  /** undefined: not settled yet; null: not stored. */
  position?: number | null;
}

/** Records on their way to the store, oldest first; settled in that order, whatever the order of the answers. */
export class PendingRecords {
  readonly #slots = new Map<number, Slot>();
  readonly #onSettled: (record: DetectionRecord, position: number | null) => void;
  #nextId = 1;
  #bytes = 0;

  /** @param onSettled told of each record when it and all before it are settled; null: not stored */
  constructor(onSettled: (record: DetectionRecord, position: number | null) => void) {
    this.#onSettled = onSettled;
  }

  /** True when the oldest had to be given up for it. */
  add(entry: PendingRecord): boolean {
    const id = this.#nextId++;
    entry.id = id;
    this.#slots.set(id, { entry });
    this.#bytes += entry.data.length;
    let overflow = false;
    while (this.#slots.size > MOST || this.#bytes > MOST_BYTES) {
      const oldest = this.first();
      if (oldest === undefined || oldest === entry) break;
      overflow = true;
      this.settle(oldest, null);
    }
    return overflow;
  }

  get size(): number {
    return this.#slots.size;
  }

  get(id: number): PendingRecord | undefined {
    return this.#slots.get(id)?.entry;
  }

  /** The oldest that is not settled. */
  first(): PendingRecord | undefined {
    // What is settled at the front has left already.
    for (const { entry } of this.#slots.values()) return entry;
    return undefined;
  }

  /** All that are not settled, oldest first. */
  all(): PendingRecord[] {
    return [...this.#slots.values()].filter(({ position }) => position === undefined).map(({ entry }) => entry);
  }

  /** All are waited for anew. */
  extend(deadlineMs: number): void {
    for (const { entry } of this.#slots.values()) entry.deadlineMs = deadlineMs;
  }

  settle(entry: PendingRecord, position: number | null): void {
    const slot = this.#slots.get(entry.id ?? 0);
    if (slot === undefined || slot.position !== undefined) return;
    slot.position = position;
    this.#flush();
  }

  /** Forgets one that nobody is to be told of. */
  drop(entry: PendingRecord): void {
    if (!this.#slots.delete(entry.id ?? 0)) return;
    this.#bytes -= entry.data.length;
    this.#flush();
  }

  #flush(): void {
    for (const [id, { entry, position }] of this.#slots) {
      if (position === undefined) return;
      this.#slots.delete(id);
      this.#bytes -= entry.data.length;
      this.#onSettled(entry.record, position);
    }
  }
}
