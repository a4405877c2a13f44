import type { SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import type { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { formatCursor, type RecordCursor } from './record_cursor.js';

/** Writes a response; false when no more should come until `RecordOutlet.resume`. */
export type WriteResponse = (response: SubscribeResponse) => boolean;

/** One subscriber's way out: keeps its cursor and what it missed, and sends heartbeats. */
export class RecordOutlet {
  readonly #write: WriteResponse;
  readonly #missed = new Map<MissedReason, number>();
  readonly #heartbeat: NodeJS.Timeout;
  #cursor = '';
  #paused = false;
  #closed = false;
  #onRoom: (() => void)[] = [];

  constructor(write: WriteResponse, heartbeatMs: number) {
    this.#write = write;
    this.#heartbeat = setTimeout(() => {
      this.beat();
    }, heartbeatMs);
  }

  /** The reader has no room; what is sent nevertheless is kept in memory. */
  get isPaused(): boolean {
    return this.#paused;
  }

  /** @param cursor null: the record is not stored */
  send(record: DetectionRecord, cursor: RecordCursor | null): void {
    if (cursor !== null) this.#cursor = formatCursor(cursor);
    this.#respond(record, cursor === null ? '' : this.#cursor);
  }

  /** The subscriber wants nothing of what is before this. */
  pass(cursor: RecordCursor): void {
    this.#cursor = formatCursor(cursor);
  }

  /** Told with the next response. */
  miss(count: number, reason: MissedReason): void {
    this.#missed.set(reason, (this.#missed.get(reason) ?? 0) + count);
  }

  /** Says that all is well; later, when the reader has no room. */
  beat(): void {
    if (this.#paused) this.#heartbeat.refresh();
    else this.#respond(undefined, this.#cursor);
  }

  /** The reader has room again. */
  resume(): void {
    this.#paused = false;
    const waiting = this.#onRoom;
    this.#onRoom = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when the reader has room, or is gone. */
  async room(): Promise<void> {
    if (!this.#paused || this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#onRoom.push(resolve);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#heartbeat);
    this.resume();
  }

  #respond(record: DetectionRecord | undefined, cursor: string): void {
    if (this.#closed) return;
    const missed = [...this.#missed].map(([reason, count]) => ({ reason, count: BigInt(count) }));
    this.#missed.clear();
    this.#heartbeat.refresh();
    this.#paused = !this.#write({ record, cursor, missed });
  }
}
