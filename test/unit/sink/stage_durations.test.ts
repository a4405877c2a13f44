import { describe, expect, it } from 'vitest';
import { stageDurations } from '../../../services/sink/stage_durations.js';
import type { StageDurations } from '#proto/framebus/detection/v1/stage_durations.js';
import { CaptureTimeSource, FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { StageTimes } from '#proto/framebus/result/v1/result.js';

const DECODED_UNIX_NS = 1_700_000_000_000_000_000n;
const sink = { receivedNs: 200n, orderedNs: 250n, recordedNs: 257n, recordedUnixNs: DECODED_UNIX_NS + 157n };

const frame = (source?: CaptureTimeSource, beforeNs = 1_000n): FrameDescriptor =>
  FrameDescriptor.fromPartial({
    decodedMonotonicNs: 100n,
    ...(source === undefined ? {} : { captureTime: { source, unixNs: DECODED_UNIX_NS - beforeNs } }),
  });

/** The stages that are set. */
const spent = (stages: StageDurations): Record<string, bigint> =>
  Object.fromEntries(Object.entries(stages).filter((entry): entry is [string, bigint] => entry[1] !== undefined));

describe('stageDurations', () => {
  it('follows a frame that was looked at, without a gap', () => {
    const times = { leasedNs: 110n, startedNs: 130n, preprocessedNs: 133n, inferredNs: 173n, decodedNs: 178n, publishedNs: 190n };
    const stages = spent(stageDurations(frame(), times, sink));
    expect(stages).toEqual({
      dispatchNs: 10n,
      batchNs: 20n,
      preprocessNs: 3n,
      engineNs: 40n,
      decodeNs: 5n,
      refineNs: 12n,
      transportNs: 10n,
      reorderNs: 50n,
      trackingNs: 7n,
    });
    expect(Object.values(stages).reduce((sum, ns) => sum + ns)).toBe(157n);
  });

  it.each<[string, Partial<StageTimes> | undefined, Record<string, bigint>]>([
    ['no worker took', { publishedNs: 160n }, { dispatchNs: 60n, transportNs: 40n }],
    ['a worker gave up', { leasedNs: 110n, publishedNs: 160n }, { dispatchNs: 10n, batchNs: 50n, transportNs: 40n }],
    ['nothing is known of', undefined, { transportNs: 100n }],
  ])('has only what a frame came by that %s', (_what, times, expected) => {
    const stages = spent(stageDurations(frame(), times && StageTimes.fromPartial(times), sink));
    expect(stages).toEqual({ ...expected, reorderNs: 50n, trackingNs: 7n });
  });

  it('knows the time from the capture of cameras and programs that say it, and of nobody else', () => {
    const { CAPTURE_TIME_SOURCE_RTCP_SR: camera, CAPTURE_TIME_SOURCE_PRODUCER: program } = CaptureTimeSource;
    const { CAPTURE_TIME_SOURCE_ARRIVAL: arrival, CAPTURE_TIME_SOURCE_FILE: file } = CaptureTimeSource;
    const captureNs = (...of: Parameters<typeof frame>) => stageDurations(frame(...of), undefined, sink).captureNs;
    expect([camera, program, arrival, file, undefined].map((source) => captureNs(source))).toEqual([1_000n, 1_000n, undefined, undefined, undefined]);
    // A camera whose clock is ahead.
    expect(captureNs(camera, -1n)).toBeUndefined();
  });
});
