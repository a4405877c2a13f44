import type { DropReason } from '../../lib/counters.js';
import { SCHEMA_VERSION } from '../../lib/subjects.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { stageDurations, type SinkTimes } from './stage_durations.js';
import type { TrackedFrame } from './stream_tracking.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';

/** Key of a status in `StreamStatus.drops`; null for a frame that was looked at. */
export function uninferredReason(status: InferenceStatus): DropReason | null {
  switch (status) {
    case InferenceStatus.INFERENCE_STATUS_INFERRED:
      return null;
    case InferenceStatus.INFERENCE_STATUS_SKIPPED:
      return 'skipped';
    case InferenceStatus.INFERENCE_STATUS_OVERLOADED:
      return 'overloaded';
    case InferenceStatus.INFERENCE_STATUS_SUPERSEDED:
      return 'superseded';
    case InferenceStatus.INFERENCE_STATUS_EXPIRED:
      return 'expired';
    case InferenceStatus.INFERENCE_STATUS_WORKER_LOST:
      return 'worker_lost';
    default:
      return 'failed';
  }
}

/** The final record of a frame, as subscribers get it. */
export function detectionRecord(
  result: ResultMessage,
  { detections, endedTrackIds }: TrackedFrame,
  frame: FrameDescriptor,
  times: SinkTimes,
): DetectionRecord {
  return {
    schemaVersion: SCHEMA_VERSION,
    streamId: frame.streamId,
    epoch: frame.epoch,
    seq: frame.seq,
    ptsNs: frame.ptsNs,
    captureTime: frame.captureTime,
    width: frame.format?.width ?? 0,
    height: frame.format?.height ?? 0,
    status: result.status,
    model: result.model,
    detections,
    classifications: result.classifications,
    masks: result.masks,
    tensors: result.tensors,
    endedTrackIds,
    latencyNs: times.recordedNs - frame.decodedMonotonicNs,
    stages: stageDurations(frame, result.times, times),
    recordedUnixNs: times.recordedUnixNs,
  };
}
