import { expect, test } from 'vitest';
import { PendingRecords, type PendingRecord } from '../../../services/sink/pending_records.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

const entry = (seq: number, bytes = 1): PendingRecord => ({
  record: DetectionRecord.fromPartial({ seq: BigInt(seq) }),
  data: new Uint8Array(bytes),
  deadlineMs: 0,
  sent: false,
});

function pending() {
  const settled: [number, number | null][] = [];
  const records = new PendingRecords((record, position) => settled.push([Number(record.seq), position]));
  return { records, settled };
}

test('records are settled in the order in which they came, whatever the order of the answers', () => {
  const { records, settled } = pending();
  const [a, b, c] = [entry(0), entry(1), entry(2)];
  for (const e of [a, b, c]) records.add(e);
  records.settle(c, 7);
  records.settle(b, null);
  expect(settled).toEqual([]);
  expect(records.all()).toEqual([a]);
  records.settle(a, 5);
  records.settle(a, 6);
  expect(settled).toEqual([[0, 5], [1, null], [2, 7]]);
  expect(records.size).toBe(0);
});

test('one that is dropped holds nobody up, and nobody is told of it', () => {
  const { records, settled } = pending();
  const [a, b] = [entry(0), entry(1)];
  records.add(a);
  records.add(b);
  records.settle(b, 2);
  records.drop(a);
  expect(settled).toEqual([[1, 2]]);
});

test('the oldest are given up when there are too many, or too large ones', () => {
  const many = pending();
  for (let seq = 0; seq < 4_096; seq++) expect(many.records.add(entry(seq))).toBe(false);
  expect(many.records.add(entry(4_096))).toBe(true);
  expect(many.settled).toEqual([[0, null]]);
  const large = pending();
  for (let seq = 0; seq < 2; seq++) expect(large.records.add(entry(seq, 16 << 20))).toBe(false);
  expect(large.records.add(entry(2, 20 << 20))).toBe(true);
  expect(large.settled).toEqual([[0, null], [1, null]]);
  expect(large.records.size).toBe(1);
});
