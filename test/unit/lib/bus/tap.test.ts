import { beforeEach, describe, expect, it } from 'vitest';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { Tap, type TapOptions } from '../../../../lib/bus/tap.js';
import type { Deliveries } from '../../../../lib/bus/dispatcher.js';
import type { DeliveryEnd } from '../../../../native/contract.js';

type Held = 'none' | 'held' | 'released' | 'gone';

/** The pool as a tap sees it. */
class Pool implements Deliveries {
  readonly state = new Map<number, Held>();
  readonly ended: number[] = [];
  readonly racing = new Set<number>();

  delivery(_epoch: string, slot: number): Held {
    return this.state.get(slot) ?? 'none';
  }

  endDelivery(_epoch: string, slot: number): DeliveryEnd {
    const held = this.delivery('', slot);
    if (held === 'gone') return 'gone';
    if (held !== 'none') return 'taken';
    if (this.racing.has(slot)) return 'undecided';
    this.ended.push(slot);
    return 'closed';
  }
}

const frame = (seq: number): FrameDescriptor =>
  FrameDescriptor.fromPartial({
    streamId: 'gate',
    epoch: { uuid: 'e', createdUnixNs: 1n },
    slot: seq,
    generation: 1n,
    seq: BigInt(seq),
  });

describe('Tap', () => {
  let pool: Pool;
  let sent: [member: string, seq: number, number: number, displacedBefore: number][];
  let nowMs: number;

  const make = (options: Partial<TapOptions> = {}): Tap =>
    new Tap(
      { group: 'g', mode: 'latest', live: true, resendMs: 1000, ...options },
      (member, { frame: f, number, displacedBefore }) =>
        sent.push([member, Number(f?.seq), Number(number), displacedBefore]),
      () => nowMs,
    );
  const seqs = (member: string): number[] => sent.flatMap(([to, seq]) => (to === member ? [seq] : []));

  beforeEach(() => {
    pool = new Pool();
    sent = [];
    nowMs = 0;
  });

  describe('latest', () => {
    it('ends what nobody took when a newer frame comes, and keeps what somebody has', () => {
      const tap = make();
      tap.join('a', 1n, 2);
      tap.dispatch(frame(0), pool);
      tap.dispatch(frame(1), pool);
      expect(pool.ended).toEqual([0]);
      pool.state.set(1, 'held');
      tap.dispatch(frame(2), pool);
      expect(pool.ended).toEqual([0]);
      expect(seqs('a')).toEqual([0, 1, 2]);
    });

    it('keeps the newest until a member that holds all it may lets one go, and counts the others', () => {
      const tap = make();
      tap.join('a', 1n, 1);
      tap.dispatch(frame(0), pool);
      pool.state.set(0, 'held');
      for (const seq of [1, 2, 3]) tap.dispatch(frame(seq), pool);
      expect(pool.ended).toEqual([1, 2]);
      expect(seqs('a')).toEqual([0]);
      pool.state.set(0, 'released');
      tap.tick();
      expect(sent.at(-1)).toEqual(['a', 3, 2, 2]);
    });

    it('ends a frame that was just being leased when asked again, unless it was leased', () => {
      const tap = make();
      tap.join('a', 1n, 4);
      pool.racing.add(0).add(1);
      tap.dispatch(frame(0), pool);
      tap.dispatch(frame(1), pool);
      tap.dispatch(frame(2), pool);
      expect(pool.ended).toEqual([]);
      pool.racing.clear();
      pool.state.set(1, 'held');
      tap.tick();
      expect(pool.ended).toEqual([0]);
    });

    it('gives frames to the members in turn', () => {
      const tap = make();
      tap.join('a', 1n, 2);
      tap.join('b', 2n, 2);
      for (let seq = 0; seq < 4; seq++) {
        tap.dispatch(frame(seq), pool);
        pool.state.set(seq, 'released');
      }
      expect(seqs('a')).toEqual([0, 2]);
      expect(seqs('b')).toEqual([1, 3]);
    });

    it('is not waited for longer than a while at the end', () => {
      const tap = make();
      tap.join('a', 1n, 2);
      tap.dispatch(frame(0), pool);
      expect(tap.pending()).toBe(1);
      nowMs = 1001;
      expect(tap.pending()).toBe(0);
    });
  });

  describe('lossless', () => {
    const LOSSLESS = { mode: 'lossless', live: false } as const;

    it('sends no more than may be held, in order, and ends nothing', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 2);
      for (let seq = 0; seq < 5; seq++) tap.dispatch(frame(seq), pool);
      expect(seqs('a')).toEqual([0, 1]);
      pool.state.set(0, 'released');
      pool.state.set(1, 'held');
      tap.tick();
      expect(seqs('a')).toEqual([0, 1, 2]);
      pool.state.set(1, 'gone');
      pool.state.set(2, 'released');
      tap.tick();
      expect(seqs('a')).toEqual([0, 1, 2, 3, 4]);
      expect(pool.ended).toEqual([]);
      expect(tap.pending()).toBe(2);
    });

    it('sends what was not taken in time again, with its number, to the same member', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 1);
      tap.join('b', 2n, 1);
      tap.dispatch(frame(0), pool);
      nowMs = 1001;
      tap.tick();
      tap.tick();
      expect(sent).toEqual([
        ['a', 0, 1, 0],
        ['a', 0, 1, 0],
      ]);
    });

    it('gives what a member had not finished to the others, in order', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 2);
      for (let seq = 0; seq < 5; seq++) tap.dispatch(frame(seq), pool);
      tap.join('b', 2n, 2);
      expect(seqs('b')).toEqual([]); // Together they hold two.
      pool.state.set(0, 'released');
      tap.leave('a');
      expect(seqs('b')).toEqual([1, 2]);
    });

    it('waits for somebody to come when the last member is gone', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 2);
      tap.dispatch(frame(0), pool);
      tap.leave('a');
      tap.dispatch(frame(1), pool);
      tap.join('a', 2n, 2);
      expect(sent.slice(1)).toEqual([
        ['a', 0, 1, 0],
        ['a', 1, 2, 0],
      ]);
    });

    it('lets a frame go that a member could not lease', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 1);
      tap.dispatch(frame(0), pool);
      tap.dispatch(frame(1), pool);
      tap.missed('a', [1n]);
      expect(seqs('a')).toEqual([0, 1]);
      expect(tap.pending()).toBe(1);
    });

    it('does not let a frame go that its member has, although it got the message twice', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 1);
      tap.dispatch(frame(0), pool);
      pool.state.set(0, 'held');
      tap.missed('a', [1n]);
      pool.state.set(0, 'none');
      tap.leave('a');
      tap.join('b', 2n, 1);
      expect(seqs('b')).toEqual([0]);
    });

    it('gives the oldest up when a live source goes on, and says how many', () => {
      const tap = make({ mode: 'lossless' });
      tap.join('a', 1n, 2);
      for (let seq = 0; seq < 6; seq++) tap.dispatch(frame(seq), pool);
      expect(seqs('a')).toEqual([0, 1]);
      expect(pool.ended).toEqual([2, 3, 4]);
      pool.state.set(0, 'released');
      tap.tick();
      expect(sent.at(-1)).toEqual(['a', 5, 3, 3]);
    });

    it('forgets frames of a pool that is over', () => {
      const tap = make(LOSSLESS);
      tap.join('a', 1n, 1);
      tap.dispatch(frame(0), pool);
      tap.dispatch(frame(1), pool);
      tap.forget(pool);
      expect(tap.pending()).toBe(0);
      tap.dispatch(frame(2), new Pool());
      expect(seqs('a')).toEqual([0, 2]);
    });
  });
});
