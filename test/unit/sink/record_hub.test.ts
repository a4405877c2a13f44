import { describe, expect, it, onTestFinished } from 'vitest';
import { filterRecord, RecordHub, type RecordFilter } from '../../../services/sink/record_hub.js';
import { formatCursor } from '../../../services/sink/record_cursor.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import { RecordOutlet } from '../../../services/sink/record_outlet.js';

const ALL: RecordFilter = {
  streamIds: new Set(),
  labels: new Set(),
  minConfidence: 0,
  onlyWithDetections: false,
  tensors: false,
  trackIds: new Set(),
};

const record = (seq: number, labels: [string, number][] = [], streamId = 'gate') =>
  DetectionRecord.fromPartial({
    streamId,
    seq: BigInt(seq),
    detections: labels.map(([label, confidence]) => ({ label, confidence })),
  });

/** Where a record is in the store. */
const at = (seq: number) => ({ store: '0123456789ab', position: seq + 1 });

/** A reader that takes `room` responses before it says stop. */
function reader(room: number) {
  const got: SubscribeResponse[] = [];
  const state = { room };
  const write = (response: SubscribeResponse) => {
    got.push(response);
    return --state.room > 0;
  };
  const outlet = new RecordOutlet(write, 60_000);
  onTestFinished(() => {
    outlet.close();
  });
  return { got, state, outlet, seqs: () => got.map((r) => Number(r.record?.seq)) };
}

describe('filterRecord', () => {
  it('lets everything through without a filter, as it is', () => {
    const r = record(1, [['person', 0.5]]);
    expect(filterRecord(r, ALL)).toBe(r);
  });

  it('filters by stream, label and confidence', () => {
    const r = record(1, [
      ['person', 0.9],
      ['person', 0.3],
      ['car', 0.9],
    ]);
    expect(filterRecord(r, { ...ALL, streamIds: new Set(['yard']) })).toBeNull();
    const kept = filterRecord(r, { ...ALL, labels: new Set(['person']), minConfidence: 0.5 });
    expect(kept?.detections.map((d) => [d.label, d.confidence])).toEqual([['person', 0.9]]);
    expect(r.detections).toHaveLength(3);
  });

  it('keeps detections of the tracks that are asked for, and tells their ends', () => {
    const r = DetectionRecord.fromPartial({
      streamId: 'gate',
      detections: [
        { label: 'person', confidence: 0.9, trackId: 7n },
        { label: 'person', confidence: 0.9, trackId: 8n },
        { label: 'person', confidence: 0.9 },
      ],
      endedTrackIds: [5n, 6n],
    });
    const of = (...ids: bigint[]): RecordFilter => ({ ...ALL, trackIds: new Set(ids) });
    expect(filterRecord(r, of(8n))).toMatchObject({ detections: [{ trackId: 8n }], endedTrackIds: [] });
    expect(filterRecord(r, of(6n))).toMatchObject({ detections: [], endedTrackIds: [6n] });
    expect(filterRecord(r, { ...of(6n), onlyWithDetections: true })).toMatchObject({ endedTrackIds: [6n] });
    expect(filterRecord(r, of(9n))).toBeNull();
    // Of another class, or not certain enough: then it is as if it was not there.
    expect(filterRecord(r, { ...of(7n), labels: new Set(['car']) })).toBeNull();
    expect(r).toMatchObject({ endedTrackIds: [5n, 6n] });
  });

  it('leaves tensors out unless they are asked for', () => {
    const r = DetectionRecord.fromPartial({ streamId: 'gate', tensors: [{ name: 'scores', data: Buffer.of(1) }] });
    expect(filterRecord(r, ALL)?.tensors).toEqual([]);
    expect(filterRecord(r, { ...ALL, tensors: true })).toBe(r);
    expect(r.tensors).toHaveLength(1);
  });

  it('keeps records without detections unless asked not to', () => {
    const r = record(1, [['car', 0.9]]);
    const labels = new Set(['person']);
    expect(filterRecord(r, { ...ALL, labels })?.detections).toEqual([]);
    expect(filterRecord(r, { ...ALL, labels, onlyWithDetections: true })).toBeNull();
  });
});

describe('RecordHub', () => {
  it('drops the oldest for a slow reader and tells how many', () => {
    const hub = new RecordHub(3);
    const slow = reader(1);
    const fast = reader(Infinity);
    const subscription = hub.subscribe(ALL, slow.outlet);
    hub.subscribe(ALL, fast.outlet);
    for (let seq = 0; seq < 10; seq++) hub.publish(record(seq), at(seq));
    expect(fast.seqs()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(slow.seqs()).toEqual([0]);
    slow.state.room = Infinity;
    slow.outlet.resume();
    subscription.resume();
    expect(slow.seqs()).toEqual([0, 7, 8, 9]);
    const lost = [{ count: 6n, reason: MissedReason.MISSED_REASON_SLOW_READER }];
    expect(slow.got.map((r) => r.missed)).toEqual([[], lost, [], []]);
    expect(slow.got.map((r) => r.cursor)).toEqual([0, 7, 8, 9].map((seq) => formatCursor(at(seq))));
    expect(hub.dropped).toBe(6);
  });

  it('stops after unsubscribe', () => {
    const hub = new RecordHub(3);
    const one = reader(Infinity);
    const subscription = hub.subscribe(ALL, one.outlet);
    hub.publish(record(0), null);
    hub.unsubscribe(subscription);
    hub.publish(record(1), null);
    expect(one.seqs()).toEqual([0]);
    expect(hub.subscribers).toBe(0);
  });
});
