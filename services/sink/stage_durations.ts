import type { StageDurations } from '#proto/framebus/detection/v1/stage_durations.js';
import { CaptureTimeSource, type FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { StageTimes } from '#proto/framebus/result/v1/result.js';

/** When sink dealt with a frame; all but `recordedUnixNs` monotonic, in nanoseconds. */
export interface SinkTimes {
  receivedNs: bigint;
  /** Its turn had come. */
  orderedNs: bigint;
  recordedNs: bigint;
  /** `recordedNs` on the wall clock. */
  recordedUnixNs: bigint;
}

/** Of the other sources it is the time of decoding, or of nothing that was captured now. */
const KNOWN_CAPTURE: ReadonlySet<CaptureTimeSource> = new Set([
  CaptureTimeSource.CAPTURE_TIME_SOURCE_RTCP_SR,
  CaptureTimeSource.CAPTURE_TIME_SOURCE_PRODUCER,
]);

/** Where the time of a frame went. All but the capture add up to the time from the decoder to the record. */
export function stageDurations(
  frame: Pick<FrameDescriptor, 'captureTime' | 'decodedMonotonicNs'>,
  times: StageTimes | undefined,
  sink: SinkTimes,
): StageDurations {
  let lastNs = frame.decodedMonotonicNs;
  // 0: it did not come by there. A stage begins where the last one that is known ended.
  const until = (atNs: bigint | undefined): bigint | undefined => {
    if (atNs === undefined || atNs === 0n) return undefined;
    const spentNs = atNs - lastNs;
    lastNs = atNs;
    return spentNs;
  };
  const isTaken = times !== undefined && times.leasedNs !== 0n;
  const isRun = times !== undefined && times.startedNs !== 0n;
  return {
    captureNs: captureNs(frame, sink),
    dispatchNs: until(isTaken ? times.leasedNs : times?.publishedNs),
    batchNs: isTaken ? until(isRun ? times.startedNs : times.publishedNs) : undefined,
    preprocessNs: until(times?.preprocessedNs),
    engineNs: until(times?.inferredNs),
    decodeNs: until(times?.decodedNs),
    refineNs: isRun ? until(times.publishedNs) : undefined,
    transportNs: until(sink.receivedNs),
    reorderNs: until(sink.orderedNs),
    trackingNs: until(sink.recordedNs),
  };
}

/** From the capture to the decoder, where that is known. */
function captureNs(
  { captureTime, decodedMonotonicNs }: Pick<FrameDescriptor, 'captureTime' | 'decodedMonotonicNs'>,
  { recordedNs, recordedUnixNs }: SinkTimes,
): bigint | undefined {
  if (captureTime === undefined || !KNOWN_CAPTURE.has(captureTime.source)) return undefined;
  const decodedUnixNs = recordedUnixNs - (recordedNs - decodedMonotonicNs);
  const spentNs = decodedUnixNs - captureTime.unixNs;
  // The future: the camera's clock is ahead by more than the way takes.
  return spentNs < 0n ? undefined : spentNs;
}
