import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { encodeRecord } from '../../../lib/messages.js';
import { RecordFollower } from '../../../services/sink/record_follower.js';
import type { RecordFilter } from '../../../services/sink/record_hub.js';
import { RecordOutlet } from '../../../services/sink/record_outlet.js';
import type { StoredRecord } from '../../../services/sink/record_reader.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import { eventually } from '../../helpers/eventually.js';

const STORE = '0123456789ab';
const ALL: RecordFilter = { streamIds: new Set(), labels: new Set(), minConfidence: 0, onlyWithDetections: false, tensors: false, trackIds: new Set() };

/** A store in memory, a reader that can be stopped, and the follower between. */
function rig(filter = ALL, start = 0) {
  const stored: StoredRecord[] = [];
  const got: SubscribeResponse[] = [];
  const reader = { room: Infinity };
  const state = { head: 0, reads: 0, fails: 0 };
  const outlet = new RecordOutlet((response) => {
    got.push(response);
    return --reader.room > 0;
  }, 60_000);
  const store = {
    head: () => ({ store: STORE, position: state.head }),
    first: () => Promise.resolve(stored[0]?.position ?? state.head + 1),
    read: async (from: number, most: number) => {
      state.reads++;
      await turn();
      if (state.fails-- > 0) throw new Error('no answer');
      return stored.filter(({ position }) => position >= from).slice(0, most);
    },
  };
  const follower = new RecordFollower(filter, outlet, store, { store: STORE, position: start });
  onTestFinished(() => {
    follower.close();
    outlet.close();
  });
  /** Stores a record; `offered` as the hub would. */
  const put = (offered: boolean, streamId = 'gate'): void => {
    const position = ++state.head;
    const record = DetectionRecord.fromPartial({ schemaVersion: 1, streamId, seq: BigInt(position) });
    stored.push({ position, streamId, data: encodeRecord(record) });
    if (offered) follower.offer(record, { store: STORE, position });
  };
  const resume = (room: number): void => {
    reader.room = room;
    outlet.resume();
    follower.resume();
  };
  return { stored, got, reader, state, outlet, follower, put, resume, seqs: () => got.map((r) => Number(r.record?.seq)) };
}

const upTo = (end: number): number[] => Array.from({ length: end }, (_, i) => i + 1);

test('reads what is stored, and goes live without gap or repetition', async () => {
  const { follower, put, state, seqs } = rig();
  for (let i = 0; i < 200; i++) put(false);
  follower.start();
  for (let i = 0; i < 100; i++) {
    put(true);
    await turn();
  }
  await eventually('all', () => seqs().length === 300);
  const { reads } = state;
  put(true);
  put(true);
  expect(seqs()).toEqual(upTo(302));
  expect(state.reads).toBe(reads);
});

test('of large records few are read at once', async () => {
  const { follower, stored, state, got } = rig();
  const data = encodeRecord(DetectionRecord.fromPartial({ streamId: 'gate', model: 'x'.repeat(1 << 20) }));
  for (let position = 1; position <= 100; position++) stored.push({ position, streamId: 'gate', data });
  state.head = 100;
  follower.start();
  await eventually('all', () => got.length === 100);
  // 64 at first, then 4.
  expect(state.reads).toBe(10);
});

test('what is stored and was not offered is read, also when nothing comes behind it', async () => {
  const { follower, put, seqs } = rig();
  follower.start();
  await turn();
  put(true);
  put(false);
  put(true);
  await eventually('three', () => seqs().length === 3);
  put(false);
  follower.moved();
  await eventually('four', () => seqs().length === 4);
  expect(seqs()).toEqual(upTo(4));
});

test('a slow reader gets everything, and little waits for it', async () => {
  const { follower, put, reader, resume, seqs, got } = rig();
  reader.room = 10;
  follower.start();
  await turn();
  for (let i = 0; i < 1_000; i++) put(true);
  await turn();
  expect(seqs().length).toBe(10);
  while (seqs().length < 1_000) {
    resume(1 + Math.floor(Math.random() * 40));
    await turn();
    put(Math.random() < 0.5);
  }
  resume(Infinity);
  await eventually('the last', () => seqs().length === Number(rigHead(got)));
  expect(seqs()).toEqual(upTo(seqs().length));
  expect(got.flatMap(({ missed }) => missed)).toEqual([]);
});

/** Position in the last cursor. */
const rigHead = (got: readonly SubscribeResponse[]): string => /\d+$/.exec(got.at(-1)?.cursor ?? '')?.[0] ?? '';

test('tells what is kept no longer, and what could not be stored', async () => {
  const { follower, put, stored, got, seqs, state } = rig();
  for (let i = 0; i < 50; i++) put(false);
  stored.splice(0, 20);
  stored.splice(5, 2);
  state.fails = 1;
  follower.start();
  await eventually('the rest', () => seqs().at(-1) === 50);
  expect(seqs()).toEqual(upTo(50).filter((seq) => seq > 20 && seq !== 26 && seq !== 27));
  follower.offer(DetectionRecord.fromPartial({ streamId: 'gate' }), null);
  put(true);
  expect(got.flatMap(({ missed }) => missed)).toEqual([
    { reason: MissedReason.MISSED_REASON_EXPIRED, count: 20n },
    { reason: MissedReason.MISSED_REASON_EXPIRED, count: 2n },
    { reason: MissedReason.MISSED_REASON_NOT_STORED, count: 1n },
  ]);
});

test('a store that was emptied under it is passed over', async () => {
  const { follower, put, stored, got } = rig();
  for (let i = 0; i < 50; i++) put(false);
  stored.length = 0;
  follower.start();
  await eventually('caught up', async () => {
    await turn();
    put(true);
    return got.length > 0;
  });
  const before = (got[0]?.record?.seq ?? 0n) - 1n;
  expect(before).toBeGreaterThanOrEqual(50n);
  expect(got[0]?.missed).toEqual([{ reason: MissedReason.MISSED_REASON_EXPIRED, count: before }]);
});

test('streams that nobody asked for are not decoded, and move the cursor on', async () => {
  const { follower, put, stored, got, outlet } = rig({ ...ALL, streamIds: new Set(['yard']) });
  for (let i = 0; i < 10; i++) put(false, 'gate');
  for (const record of stored) record.data = Uint8Array.of(255);
  put(false, 'yard');
  put(false, 'gate');
  follower.start();
  await eventually('one', () => got.length === 1);
  expect(got[0]?.cursor).toBe(`1-${STORE}-11`);
  await turn();
  put(true, 'gate');
  outlet.beat();
  expect(got[1]).toMatchObject({ record: undefined, cursor: `1-${STORE}-13` });
});
