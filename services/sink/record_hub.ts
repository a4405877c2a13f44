import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { RecordCursor } from './record_cursor.js';
import type { RecordOutlet } from './record_outlet.js';

/** What a subscriber wants to see; an empty set means all. */
export interface RecordFilter {
  streamIds: ReadonlySet<string>;
  labels: ReadonlySet<string>;
  /** 0 to 1. */
  minConfidence: number;
  onlyWithDetections: boolean;
  /** Whether outputs of raw models are wanted. */
  tensors: boolean;
  /** Records with none of these, and of which none ends there, are left out. */
  trackIds: ReadonlySet<bigint>;
}

/** The record as the filter lets it through, or null when it does not. */
export function filterRecord(record: DetectionRecord, filter: RecordFilter): DetectionRecord | null {
  if (filter.streamIds.size > 0 && !filter.streamIds.has(record.streamId)) return null;
  const ofTracks = filter.trackIds.size > 0;
  const detections = record.detections.filter(
    (detection) =>
      detection.confidence >= filter.minConfidence &&
      (filter.labels.size === 0 || filter.labels.has(detection.label)) &&
      (!ofTracks || filter.trackIds.has(detection.trackId)),
  );
  const endedTrackIds = ofTracks ? record.endedTrackIds.filter((id) => filter.trackIds.has(id)) : record.endedTrackIds;
  const isEnd = ofTracks && endedTrackIds.length > 0;
  if ((filter.onlyWithDetections || ofTracks) && detections.length === 0 && !isEnd) return null;
  const tensors = filter.tensors ? record.tensors : [];
  const isWhole =
    detections.length === record.detections.length &&
    tensors.length === record.tensors.length &&
    endedTrackIds.length === record.endedTrackIds.length;
  return isWhole ? record : { ...record, detections, tensors, endedTrackIds };
}

/** Gets all records as they come; ended by `RecordHub.unsubscribe`. */
export interface RecordListener {
  /** @param cursor null: the record is not stored */
  offer(record: DetectionRecord, cursor: RecordCursor | null): void;
  /** The store has records that were not offered. */
  moved?(): void;
}

/**
 * A subscriber who looks on: a bounded queue of new records. A reader that is too slow
 * loses the oldest, and is told how many with the next one that it gets.
 */
export class RecordSubscription implements RecordListener {
  readonly #filter: RecordFilter;
  readonly #outlet: RecordOutlet;
  readonly #limit: number;
  readonly #onDrop: () => void;
  readonly #queue: { record: DetectionRecord; cursor: RecordCursor | null }[] = [];

  constructor(filter: RecordFilter, outlet: RecordOutlet, limit: number, onDrop: () => void) {
    this.#filter = filter;
    this.#outlet = outlet;
    this.#limit = limit;
    this.#onDrop = onDrop;
  }

  offer(record: DetectionRecord, cursor: RecordCursor | null): void {
    const wanted = filterRecord(record, this.#filter);
    if (!wanted) {
      if (cursor !== null && this.#queue.length === 0) this.#outlet.pass(cursor);
      return;
    }
    this.#queue.push({ record: wanted, cursor });
    if (this.#queue.length > this.#limit) {
      this.#queue.shift();
      this.#outlet.miss(1, MissedReason.MISSED_REASON_SLOW_READER);
      this.#onDrop();
    }
    this.resume();
  }

  /** The reader may have room again. */
  resume(): void {
    while (!this.#outlet.isPaused) {
      const next = this.#queue.shift();
      if (!next) return;
      this.#outlet.send(next.record, next.cursor);
    }
  }
}

/** Hands every record to all subscribers, none of which can hold another up. */
export class RecordHub {
  readonly #limit: number;
  readonly #listeners = new Set<RecordListener>();
  #dropped = 0;

  /** `limit`: records that may wait for one subscriber. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get subscribers(): number {
    return this.#listeners.size;
  }

  /** Records that slow subscribers have lost. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param cursor null: the record is not stored */
  publish(record: DetectionRecord, cursor: RecordCursor | null): void {
    for (const listener of this.#listeners) listener.offer(record, cursor);
  }

  /** The store has records that were not published here. */
  moved(): void {
    for (const listener of this.#listeners) listener.moved?.();
  }

  /** Adds a subscriber who looks on. */
  subscribe(filter: RecordFilter, outlet: RecordOutlet): RecordSubscription {
    const onDrop = (): void => {
      this.#dropped++;
    };
    const subscription = new RecordSubscription(filter, outlet, this.#limit, onDrop);
    this.#listeners.add(subscription);
    return subscription;
  }

  add(listener: RecordListener): void {
    this.#listeners.add(listener);
  }

  unsubscribe(listener: RecordListener): void {
    this.#listeners.delete(listener);
  }
}
