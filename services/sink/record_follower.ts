import { setTimeout as sleep } from 'node:timers/promises';
import { decodeRecord } from '../../lib/messages.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { RecordCursor } from './record_cursor.js';
import { filterRecord, type RecordFilter, type RecordListener } from './record_hub.js';
import type { RecordOutlet } from './record_outlet.js';
import type { StoredRecord } from './record_reader.js';

/** What a follower needs of the store. */
export interface FollowedStore {
  /** Place of the newest record; null while there is no store. */
  head(): RecordCursor | null;
  /** As `RecordReader.read`. */
  read(from: number, most: number): Promise<StoredRecord[]>;
  /** Position of the oldest record that is kept, or one above the newest. */
  first(): Promise<number>;
}

/** Live records that may wait for one reader; one who is slower reads them from the store. */
const MOST_WAITING = 64;
const MOST_AT_ONCE = 256;
/** What is read at once is in memory while a slow reader takes it: records with masks can be large. */
const BYTES_AT_ONCE = 4 << 20;
const EXPECTED_BYTES = 64 << 10;
const RETRY_MS = 200;

/**
 * A subscriber who gets every stored record once, in the order of the store: from the
 * store until it has caught up, and then as they come. Whenever one that comes is not
 * the next, or the reader is slower than they come, it reads on from the store.
 */
export class RecordFollower implements RecordListener {
  readonly #filter: RecordFilter;
  readonly #outlet: RecordOutlet;
  readonly #store: FollowedStore;
  readonly #storeId: string;
  readonly #queue: { record: DetectionRecord | null; position: number }[] = [];
  /** Position of the next record to send or to queue. */
  #next: number;
  /** Size of the largest record that was read the last time. */
  #largest = EXPECTED_BYTES;
  #isReading = false;
  #closed = false;

  /** @param start behind which the first record is */
  constructor(filter: RecordFilter, outlet: RecordOutlet, store: FollowedStore, start: RecordCursor) {
    this.#filter = filter;
    this.#outlet = outlet;
    this.#store = store;
    this.#storeId = start.store;
    this.#next = start.position + 1;
    outlet.pass(start);
  }

  /** Begins; add it to the hub before. */
  start(): void {
    this.#readOn();
  }

  offer(record: DetectionRecord, cursor: RecordCursor | null): void {
    if (this.#closed) return;
    if (cursor === null) {
      if (filterRecord(record, this.#filter)) this.#outlet.miss(1, MissedReason.MISSED_REASON_NOT_STORED);
      return;
    }
    if (this.#isReading || cursor.position < this.#next) return;
    if (cursor.position > this.#next) {
      this.#readOn();
      return;
    }
    this.#queue.push({ record: filterRecord(record, this.#filter), position: cursor.position });
    this.#next++;
    if (this.#queue.length > MOST_WAITING) this.#readOn();
    else this.resume();
  }

  moved(): void {
    this.#readOn();
  }

  /** The reader may have room again. */
  resume(): void {
    while (!this.#outlet.isPaused) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#hand(next.record, next.position);
    }
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
  }

  #hand(record: DetectionRecord | null, position: number): void {
    const cursor = { store: this.#storeId, position };
    if (record === null) this.#outlet.pass(cursor);
    else this.#outlet.send(record, cursor);
  }

  /** Goes over to the store, from the oldest record that is not sent. */
  #readOn(): void {
    if (this.#isReading || this.#closed) return;
    this.#isReading = true;
    this.#next = this.#queue[0]?.position ?? this.#next;
    this.#queue.length = 0;
    void this.#read();
  }

  /** Reads until it has caught up; what comes from then on is offered. */
  async #read(): Promise<void> {
    for (;;) {
      await this.#outlet.room();
      const head = this.#store.head();
      if (this.#isClosed()) return;
      if (head !== null && this.#next > head.position) {
        // In the same turn: no record can come in between.
        this.#isReading = false;
        return;
      }
      try {
        if (head === null) throw new Error('no store');
        await this.#take(await this.#store.read(this.#next, this.#mostAtOnce(head.position)), head.position);
      } catch {
        await sleep(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  #mostAtOnce(head: number): number {
    const most = Math.min(MOST_AT_ONCE, Math.ceil(BYTES_AT_ONCE / this.#largest));
    return Math.min(most, head - this.#next + 1);
  }

  async #take(records: readonly StoredRecord[], head: number): Promise<void> {
    if (records.length === 0) this.#skipTo(Math.min(await this.#store.first(), head + 1));
    this.#largest = records.reduce((most, { data }) => Math.max(most, data.length), 1);
    for (const { position, streamId, data } of records) {
      if (this.#outlet.isPaused) await this.#outlet.room();
      if (this.#isClosed()) return;
      if (position < this.#next) continue;
      this.#skipTo(position);
      this.#next = position + 1;
      this.#hand(this.#wanted(streamId, data), position);
    }
  }

  /** What is not there any more. */
  #skipTo(position: number): void {
    if (position <= this.#next || this.#isClosed()) return;
    this.#outlet.miss(position - this.#next, MissedReason.MISSED_REASON_EXPIRED);
    this.#next = position;
    this.#outlet.pass({ store: this.#storeId, position: position - 1 });
  }

  #wanted(streamId: string, data: Uint8Array): DetectionRecord | null {
    const { streamIds } = this.#filter;
    if (streamIds.size > 0 && !streamIds.has(streamId)) return null;
    try {
      return filterRecord(decodeRecord(data), this.#filter);
    } catch {
      // Of another version of framebus, or not ours: nothing that this client could read.
      return null;
    }
  }

  /** A function, because the state may change while something is awaited. */
  #isClosed(): boolean {
    return this.#closed;
  }
}
