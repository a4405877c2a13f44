import type { NatsConnection } from 'nats';
import type { StreamCounters } from '../../lib/counters.js';
import { withDeadline } from '../../lib/deadline.js';
import { encodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { BatchTimes } from './detector.js';
import { ROW } from './frame_boxes.js';

/** A server that is away must not keep the frames. */
const FLUSH_DEADLINE_MS = 1_000;

/** What is known of a frame that went through the model. */
export interface Inferred {
  frame: FrameDescriptor;
  /** See `toFrameBoxes`. */
  rows: Float32Array;
  leasedNs: bigint;
  times: BatchTimes;
  batchSize: number;
}

/** Detections of a frame, as clients get them. */
export function toDetections(rows: Float32Array, labels: ReadonlyMap<number, string>): Detection[] {
  return Array.from({ length: rows.length / ROW }, (_, index) => {
    const [x = 0, y = 0, width = 0, height = 0, confidence = 0, classId = 0] = rows.subarray(index * ROW, (index + 1) * ROW);
    return { box: { x, y, width, height }, classId, label: labels.get(classId) ?? '', confidence };
  });
}

/** Sends the results of one model to sink, and counts them. */
export class ResultPublisher {
  readonly #nats: NatsConnection;
  readonly #manifest: ModelManifest;
  readonly #counters: (streamId: string) => StreamCounters;

  constructor(nats: NatsConnection, manifest: ModelManifest, counters: (streamId: string) => StreamCounters) {
    this.#nats = nats;
    this.#manifest = manifest;
    this.#counters = counters;
  }

  inferred({ frame, rows, leasedNs, times, batchSize }: Inferred): void {
    const detections = toDetections(rows, this.#manifest.labels);
    this.#publish({
      frame,
      status: InferenceStatus.INFERENCE_STATUS_INFERRED,
      reason: '',
      model: this.#manifest.name,
      detections,
      times: { leasedNs, ...times },
      batchSize,
    });
    const counters = this.#counters(frame.streamId);
    counters.inferred();
    counters.frameOut();
    counters.took(Number(process.hrtime.bigint() - frame.decodedMonotonicNs) / 1e6);
    for (const { label } of detections) counters.detection(label);
  }

  failed(frame: FrameDescriptor, reason: string): void {
    this.#publish({
      frame,
      status: InferenceStatus.INFERENCE_STATUS_FAILED,
      reason,
      model: this.#manifest.name,
      detections: [],
      times: undefined,
      batchSize: 0,
    });
    const counters = this.#counters(frame.streamId);
    counters.drop('failed');
    counters.frameOut();
  }

  /** The lease was taken away while the model looked: nothing is published. */
  revoked(frame: FrameDescriptor): void {
    this.#counters(frame.streamId).drop('stale');
  }

  /** Resolves when nats-server has what was published, or has not answered for a while. */
  async flushed(): Promise<void> {
    await withDeadline(this.#nats.flush(), FLUSH_DEADLINE_MS, 'results: flush').catch(() => undefined);
  }

  #publish(message: Omit<ResultMessage, 'schemaVersion'>): void {
    this.#nats.publish(subjects.results(message.frame?.streamId ?? ''), encodeResult(message));
  }
}
