import { expect, test } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { recordLine } from '../../../../cli/watch/record_line.js';

const at = new Date(2026, 0, 2, 3, 4, 5, 67);

const record = (rest: Parameters<typeof DetectionRecord.fromPartial>[0]): DetectionRecord =>
  DetectionRecord.fromPartial({
    streamId: 'gate',
    seq: 1234n,
    captureTime: { unixNs: BigInt(at.getTime()) * 1_000_000n },
    status: InferenceStatus.INFERENCE_STATUS_INFERRED,
    latencyNs: 41_600_000n,
    ...rest,
  });

const person = { label: 'person', confidence: 0.874, box: { x: 12.4, y: 30.6, width: 40, height: 80.2 } };

test('what is seen, where and how certain', () => {
  const line = recordLine(record({ detections: [person, { ...person, label: 'car', confidence: 0.5 }] }));
  expect(line).toBe('03:04:05.067 gate #1234 person 87 % (12,31 40×80), car 50 % (12,31 40×80)  42 ms');
});

test('a track, its end, and the time from the capture where it is known', () => {
  const stages = { captureNs: 30_000_000n };
  const line = recordLine(record({ detections: [{ ...person, trackId: 7n }], endedTrackIds: [5n], stages }));
  expect(line).toBe('03:04:05.067 gate #1234 person 87 % (12,31 40×80) track 7, track 5 ended  72 ms');
  expect(recordLine(record({ endedTrackIds: [5n] }))).toBe('03:04:05.067 gate #1234 track 5 ended  42 ms');
});

test('a crowd is cut short', () => {
  const line = recordLine(record({ detections: Array(11).fill(person) as (typeof person)[] }));
  expect(line.match(/person/g)).toHaveLength(8);
  expect(line).toContain(', 3 more  42 ms');
});

test('nothing seen is told from not looked at', () => {
  expect(recordLine(record({}))).toContain('#1234 nothing seen ');
  expect(recordLine(record({ status: InferenceStatus.INFERENCE_STATUS_OVERLOADED }))).toContain(
    '#1234 not looked at: too many frames in inference ',
  );
});

test('a record without a time still makes a line', () => {
  expect(recordLine(DetectionRecord.fromPartial({ streamId: 'gate' }))).toMatch(/^--:--:--\.--- gate #0 unknown/);
});
