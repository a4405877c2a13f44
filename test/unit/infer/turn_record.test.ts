import { describe, expect, it } from 'vitest';
import { TurnRecord } from '../../../services/infer/turn_record.js';

const frame = (seq: number, uuid = 'a') => ({ epoch: { uuid, createdUnixNs: 0n }, seq: BigInt(seq) });

describe('TurnRecord', () => {
  it('takes every frame without an interval', () => {
    const turns = new TurnRecord();
    expect([0, 0, 1].map((seq) => turns.take('k', frame(seq), 0))).toEqual([true, true, true]);
  });

  it('takes one of each interval + 1 frames, in any order, by key and epoch', () => {
    const turns = new TurnRecord();
    const take = (seq: number, key = 'k', uuid = 'a'): boolean => turns.take(key, frame(seq, uuid), 2);
    expect([1, 0, 2, 4, 3, 2, 6].map((seq) => take(seq))).toEqual([true, false, false, true, false, false, true]);
    expect([take(0, 'other'), take(0, 'k', 'b'), take(1, 'k', 'b')]).toEqual([true, true, false]);
  });

  it('forgets turns that are long over', () => {
    const turns = new TurnRecord();
    for (let seq = 0; seq < 200; seq += 2) expect(turns.take('k', frame(seq), 1)).toBe(true);
    expect(turns.take('k', frame(198), 1)).toBe(false);
  });
});
