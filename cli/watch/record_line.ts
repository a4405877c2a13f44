import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { totalMs } from './latency_table.js';

const MOST_DETECTIONS = 8;

const STATUS_WORDS: Readonly<Record<InferenceStatus, string>> = {
  [InferenceStatus.INFERENCE_STATUS_UNSPECIFIED]: 'unknown',
  [InferenceStatus.INFERENCE_STATUS_INFERRED]: 'nothing seen',
  [InferenceStatus.INFERENCE_STATUS_SKIPPED]: 'not looked at: skipped by its interval',
  [InferenceStatus.INFERENCE_STATUS_OVERLOADED]: 'not looked at: too many frames in inference',
  [InferenceStatus.INFERENCE_STATUS_SUPERSEDED]: 'not looked at: a newer frame came first',
  [InferenceStatus.INFERENCE_STATUS_EXPIRED]: 'not looked at: no worker in time',
  [InferenceStatus.INFERENCE_STATUS_WORKER_LOST]: 'not looked at: its worker is gone',
  [InferenceStatus.INFERENCE_STATUS_FAILED]: 'not looked at: the model failed',
};

/** "12:03:04.512 gate #1234 person 87 % (12,30 40×80) track 7, car 55 % (…)  42 ms": the time from the capture to the record. */
export function recordLine(record: DetectionRecord): string {
  const { streamId, seq, detections, status, endedTrackIds } = record;
  const shown = detections.slice(0, MOST_DETECTIONS).map(detectionText);
  if (detections.length > MOST_DETECTIONS) shown.push(`${detections.length - MOST_DETECTIONS} more`);
  shown.push(...endedTrackIds.map((id) => `track ${id} ended`));
  const seen = shown.length === 0 ? STATUS_WORDS[status] : shown.join(', ');
  return `${clock(record)} ${streamId} #${seq} ${seen}  ${totalMs(record).toFixed(0)} ms`;
}

function detectionText({ label, confidence, box, trackId }: Detection): string {
  const place =
    box === undefined
      ? ''
      : ` (${box.x.toFixed(0)},${box.y.toFixed(0)} ${box.width.toFixed(0)}×${box.height.toFixed(0)})`;
  const track = trackId === 0n ? '' : ` track ${trackId}`;
  return `${label} ${(confidence * 100).toFixed(0)} %${place}${track}`;
}

/** Local time of capture. */
function clock({ captureTime }: DetectionRecord): string {
  if (captureTime === undefined) return '--:--:--.---';
  const at = new Date(Number(captureTime.unixNs / 1_000_000n));
  const two = (value: number): string => String(value).padStart(2, '0');
  const milliseconds = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${milliseconds}`;
}
