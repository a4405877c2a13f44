import type { SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

/** What a subscriber wants to see; an empty set means all. */
export interface RecordFilter {
  streamIds: ReadonlySet<string>;
  labels: ReadonlySet<string>;
  /** 0 to 1. */
  minConfidence: number;
  onlyWithDetections: boolean;
  /** Whether outputs of raw models are wanted. */
  tensors: boolean;
}

/** The record as the filter lets it through, or null when it does not. */
export function filterRecord(record: DetectionRecord, filter: RecordFilter): DetectionRecord | null {
  if (filter.streamIds.size > 0 && !filter.streamIds.has(record.streamId)) return null;
  const detections = record.detections.filter(
    (detection) =>
      detection.confidence >= filter.minConfidence &&
      (filter.labels.size === 0 || filter.labels.has(detection.label)),
  );
  if (filter.onlyWithDetections && detections.length === 0) return null;
  const tensors = filter.tensors ? record.tensors : [];
  const whole = detections.length === record.detections.length && tensors.length === record.tensors.length;
  return whole ? record : { ...record, detections, tensors };
}

/** Where a subscriber's records go. */
export interface RecordReader {
  /** Returns false when no more should come until `RecordSubscription.resume`. */
  write(response: SubscribeResponse): boolean;
}

/**
 * One subscriber's bounded queue. A reader that is too slow loses the oldest
 * records, and is told how many with the next one that it gets.
 */
export class RecordSubscription {
  readonly #filter: RecordFilter;
  readonly #reader: RecordReader;
  readonly #limit: number;
  readonly #onDrop: () => void;
  readonly #queue: DetectionRecord[] = [];
  #paused = false;
  /** Dropped since the last response. */
  #dropped = 0n;

  constructor(filter: RecordFilter, reader: RecordReader, limit: number, onDrop: () => void) {
    this.#filter = filter;
    this.#reader = reader;
    this.#limit = limit;
    this.#onDrop = onDrop;
  }

  offer(record: DetectionRecord): void {
    const wanted = filterRecord(record, this.#filter);
    if (!wanted) return;
    this.#queue.push(wanted);
    if (this.#queue.length > this.#limit) {
      this.#queue.shift();
      this.#dropped += 1n;
      this.#onDrop();
    }
    this.#pump();
  }

  /** The reader has room again. */
  resume(): void {
    this.#paused = false;
    this.#pump();
  }

  #pump(): void {
    while (!this.#paused) {
      const record = this.#queue.shift();
      if (!record) return;
      const dropped = this.#dropped;
      this.#dropped = 0n;
      this.#paused = !this.#reader.write({ record, dropped });
    }
  }
}

/** Hands every record to all subscribers, none of which can hold another up. */
export class RecordHub {
  readonly #limit: number;
  readonly #subscriptions = new Set<RecordSubscription>();
  #dropped = 0;

  /** `limit`: records that may wait for one subscriber. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  /** Records that slow subscribers have lost. */
  get dropped(): number {
    return this.#dropped;
  }

  publish(record: DetectionRecord): void {
    for (const subscription of this.#subscriptions) subscription.offer(record);
  }

  subscribe(filter: RecordFilter, reader: RecordReader): RecordSubscription {
    const onDrop = (): void => {
      this.#dropped++;
    };
    const subscription = new RecordSubscription(filter, reader, this.#limit, onDrop);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  unsubscribe(subscription: RecordSubscription): void {
    this.#subscriptions.delete(subscription);
  }
}
