import type { NatsConnection } from 'nats';
import type { StreamCounters } from '../../lib/counters.js';
import { withDeadline } from '../../lib/deadline.js';
import { encodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { BatchTimes } from './detector.js';
import type { FrameFindings } from './frame_findings.js';
import { toDetections, toFrameMessages } from './result_findings.js';
import type { Refinement } from './second_stage.js';

/** A server that is away must not keep the frames. */
const FLUSH_DEADLINE_MS = 1_000;

/** What is known of a frame that went through the model. */
export interface Inferred {
  frame: FrameDescriptor;
  /** The model that looked. */
  manifest: ModelManifest;
  /** See `toFrameBoxes`. */
  rows: Float32Array;
  /** All that is not boxes. */
  findings: FrameFindings;
  /** What secondary models say; null: none has looked. */
  refinement: Refinement | null;
  leasedNs: bigint;
  times: BatchTimes;
  batchSize: number;
}

/** Sends the results of one served model to sink, and counts them. */
export class ResultPublisher {
  readonly #nats: Pick<NatsConnection, 'info' | 'publish' | 'flush'>;
  readonly #served: string;
  readonly #counters: (streamId: string) => StreamCounters;

  /** @param served name that the streams ask for */
  constructor(nats: Pick<NatsConnection, 'info' | 'publish' | 'flush'>, served: string, counters: (streamId: string) => StreamCounters) {
    this.#nats = nats;
    this.#served = served;
    this.#counters = counters;
  }

  inferred({ frame, manifest, rows, findings, refinement, leasedNs, times, batchSize }: Inferred): void {
    const { labels } = manifest;
    const detections = refined(toDetections(rows, labels, findings.landmarks), refinement);
    const result = encodeResult({
      frame,
      status: InferenceStatus.INFERENCE_STATUS_INFERRED,
      reason: '',
      model: manifest.name,
      detections,
      ...toFrameMessages(findings, labels),
      weakDetections: toDetections(findings.weak.rows, labels, findings.weak.landmarks),
      times: { leasedNs, ...times, publishedNs: process.hrtime.bigint() },
      batchSize,
    });
    const mostBytes = this.#nats.info?.max_payload ?? Number.POSITIVE_INFINITY;
    // Masks of a picture that is all edges, for example.
    if (result.byteLength > mostBytes) return this.failed(frame, leasedNs, `the result has ${result.byteLength} bytes, NATS takes ${mostBytes}`);
    this.#publish(frame, result);
    const counters = this.#counters(frame.streamId);
    counters.inferred();
    counters.frameOut();
    counters.took(Number(process.hrtime.bigint() - frame.decodedMonotonicNs) / 1e6);
    for (const { label } of detections) counters.detection(label);
  }

  /** The model could not be run on it. */
  failed(frame: FrameDescriptor, leasedNs: bigint, reason: string): void {
    this.#uninferred(frame, leasedNs, InferenceStatus.INFERENCE_STATUS_FAILED, 'failed', reason);
  }

  /** Its lease would have ended before the model was done. */
  expired(frame: FrameDescriptor, leasedNs: bigint, reason: string): void {
    this.#uninferred(frame, leasedNs, InferenceStatus.INFERENCE_STATUS_EXPIRED, 'expired', reason);
  }

  /** The lease was taken away while the model looked: nothing is published. */
  revoked(frame: FrameDescriptor): void {
    this.#counters(frame.streamId).drop('stale');
  }

  /** Resolves when nats-server has what was published, or has not answered for a while. */
  async flushed(): Promise<void> {
    await withDeadline(this.#nats.flush(), FLUSH_DEADLINE_MS, 'results: flush').catch(() => undefined);
  }

  #uninferred(frame: FrameDescriptor, leasedNs: bigint, status: InferenceStatus, drop: 'failed' | 'expired', reason: string): void {
    const times = { leasedNs, publishedNs: process.hrtime.bigint() };
    this.#publish(frame, encodeResult(ResultMessage.fromPartial({ frame, status, reason, model: this.#served, times })));
    const counters = this.#counters(frame.streamId);
    counters.drop(drop);
    counters.frameOut();
  }

  #publish(frame: FrameDescriptor, result: Uint8Array): void {
    this.#nats.publish(subjects.results(frame.streamId), result);
  }
}

/** The detections with what secondary models say of them. */
function refined(detections: Detection[], refinement: Refinement | null): Detection[] {
  if (refinement === null) return detections;
  return detections.map((detection, index) => ({
    ...detection,
    attributes: [...(refinement.attributes[index] ?? [])],
    parts: [...(refinement.parts[index] ?? [])],
    lookedBy: [...(refinement.lookedBy[index] ?? [])],
  }));
}
