import type { NatsConnection } from 'nats';
import type { StreamCounters } from '../../lib/counters.js';
import { withDeadline } from '../../lib/deadline.js';
import { encodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import type { ModelManifest } from '../../models/manifest.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { BatchTimes } from './detector.js';
import type { FrameFindings } from './frame_findings.js';
import { toDetections, toFrameMessages } from './result_findings.js';

/** A server that is away must not keep the frames. */
const FLUSH_DEADLINE_MS = 1_000;

/** What is known of a frame that went through the model. */
export interface Inferred {
  frame: FrameDescriptor;
  /** See `toFrameBoxes`. */
  rows: Float32Array;
  /** All that is not boxes. */
  findings: FrameFindings;
  leasedNs: bigint;
  times: BatchTimes;
  batchSize: number;
}

/** Sends the results of one model to sink, and counts them. */
export class ResultPublisher {
  readonly #nats: Pick<NatsConnection, 'info' | 'publish' | 'flush'>;
  readonly #manifest: ModelManifest;
  readonly #counters: (streamId: string) => StreamCounters;

  constructor(nats: Pick<NatsConnection, 'info' | 'publish' | 'flush'>, manifest: ModelManifest, counters: (streamId: string) => StreamCounters) {
    this.#nats = nats;
    this.#manifest = manifest;
    this.#counters = counters;
  }

  inferred({ frame, rows, findings, leasedNs, times, batchSize }: Inferred): void {
    const { labels } = this.#manifest;
    const detections = toDetections(rows, labels, findings.landmarks);
    const result = encodeResult({
      frame,
      status: InferenceStatus.INFERENCE_STATUS_INFERRED,
      reason: '',
      model: this.#manifest.name,
      detections,
      ...toFrameMessages(findings, labels),
      times: { leasedNs, ...times },
      batchSize,
    });
    const mostBytes = this.#nats.info?.max_payload ?? Number.POSITIVE_INFINITY;
    // Masks of a picture that is all edges, for example.
    if (result.byteLength > mostBytes) return this.failed(frame, `the result has ${result.byteLength} bytes, NATS takes ${mostBytes}`);
    this.#publish(frame, result);
    const counters = this.#counters(frame.streamId);
    counters.inferred();
    counters.frameOut();
    counters.took(Number(process.hrtime.bigint() - frame.decodedMonotonicNs) / 1e6);
    for (const { label } of detections) counters.detection(label);
  }

  failed(frame: FrameDescriptor, reason: string): void {
    const status = InferenceStatus.INFERENCE_STATUS_FAILED;
    this.#publish(frame, encodeResult(ResultMessage.fromPartial({ frame, status, reason, model: this.#manifest.name })));
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

  #publish(frame: FrameDescriptor, result: Uint8Array): void {
    this.#nats.publish(subjects.results(frame.streamId), result);
  }
}
