import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

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

/** "12:03:04.512 gate #1234 person 87 % (12,30 40×80), car 55 % (…)  42 ms" */
export function recordLine(record: DetectionRecord): string {
  const { streamId, seq, detections, status, latencyNs } = record;
  const shown = detections.slice(0, MOST_DETECTIONS).map(detectionText);
  if (detections.length > MOST_DETECTIONS) shown.push(`${detections.length - MOST_DETECTIONS} more`);
  const seen = shown.length === 0 ? STATUS_WORDS[status] : shown.join(', ');
  const latencyMs = Number(latencyNs) / 1e6;
  return `${clock(record)} ${streamId} #${seq} ${seen}  ${latencyMs.toFixed(0)} ms`;
}

function detectionText({ label, confidence, box }: Detection): string {
  const place =
    box === undefined
      ? ''
      : ` (${box.x.toFixed(0)},${box.y.toFixed(0)} ${box.width.toFixed(0)}×${box.height.toFixed(0)})`;
  return `${label} ${(confidence * 100).toFixed(0)} %${place}`;
}

/** Local time of capture. */
function clock({ captureTime }: DetectionRecord): string {
  if (captureTime === undefined) return '--:--:--.---';
  const at = new Date(Number(captureTime.unixNs / 1_000_000n));
  const two = (value: number): string => String(value).padStart(2, '0');
  const milliseconds = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${milliseconds}`;
}
