import { describe, expect, it } from 'vitest';
import { Batcher, type Batchable } from '../../../services/infer/batcher.js';

interface Frame extends Batchable {
  seq: number;
}

let nowMs = 0;

function batcher(size = 4, maxAgeMs = 10): Batcher<Frame> {
  nowMs = 1_000;
  return new Batcher<Frame>({ size, maxAgeMs }, () => nowMs);
}

const NEVER = Number.POSITIVE_INFINITY;
const latest = (streamId: string, seq = 0, deadlineMs = NEVER): Frame => ({ streamId, seq, oneABatch: true, deadlineMs });
const lossless = (streamId: string, seq = 0, deadlineMs = NEVER): Frame => ({ streamId, seq, oneABatch: false, deadlineMs });
const names = (batch: Frame[] | null): string[] | null => batch?.map(({ streamId, seq }) => `${streamId}${seq}`) ?? null;

describe('Batcher', () => {
  it('has nothing to give when nothing waits', () => {
    const empty = batcher();
    expect(empty.take(0)).toBeNull();
    expect(empty.dueInMs()).toBeNull();
  });

  it('starts at once when nothing more is on its way', () => {
    const frames = batcher();
    frames.add(latest('a'));
    expect(names(frames.take(0))).toEqual(['a0']);
    expect(frames.length).toBe(0);
  });

  it('waits for frames that are on their way, until it is full', () => {
    const frames = batcher(2);
    frames.add(latest('a'));
    expect(frames.take(3)).toBeNull();
    frames.add(latest('b'));
    expect(names(frames.take(2))).toEqual(['a0', 'b0']);
  });

  it('waits no longer than the age limit of the oldest frame', () => {
    const frames = batcher(4, 10);
    frames.add(latest('a'));
    nowMs += 6;
    frames.add(latest('b'));
    expect(frames.dueInMs()).toBe(4);
    nowMs += 3.9;
    expect(frames.take(1)).toBeNull();
    nowMs += 0.1;
    expect(frames.dueInMs()).toBe(0);
    expect(names(frames.take(1))).toEqual(['a0', 'b0']);
  });

  it('never holds more than its size', () => {
    const frames = batcher(3);
    for (const stream of ['a', 'b', 'c', 'd', 'e']) frames.add(latest(stream));
    expect(names(frames.take(5))).toEqual(['a0', 'b0', 'c0']);
    expect(frames.length).toBe(2);
    expect(names(frames.take(0))).toEqual(['d0', 'e0']);
  });

  it('takes one frame of a latest stream at a time', () => {
    const frames = batcher(4);
    frames.add(latest('a', 1));
    frames.add(latest('a', 2));
    frames.add(latest('b', 1));
    expect(names(frames.take(0))).toEqual(['a1', 'b1']);
    expect(names(frames.take(0))).toEqual(['a2']);
  });

  it('does not count a second frame of a latest stream as filling a batch', () => {
    const frames = batcher(2);
    frames.add(latest('a', 1));
    frames.add(latest('a', 2));
    expect(frames.take(1)).toBeNull();
  });

  it('fills up with lossless streams, in order and in turn', () => {
    const frames = batcher(5);
    for (const seq of [1, 2, 3, 4]) frames.add(lossless('a', seq));
    frames.add(lossless('b', 1));
    frames.add(latest('c', 1));
    frames.add(latest('c', 2));
    expect(names(frames.take(0))).toEqual(['a1', 'b1', 'c1', 'a2', 'a3']);
    expect(names(frames.take(0))).toEqual(['c2', 'a4']);
  });

  it('gives every stream its turn, however much one of them sends', () => {
    const frames = batcher(2);
    const served: Record<string, number> = { a: 0, b: 0, c: 0 };
    for (let round = 0; round < 30; round++) {
      // "a" sends three times as much as the others.
      for (const stream of ['a', 'a', 'a', 'b', 'c']) frames.add(lossless(stream, round));
      for (const { streamId } of frames.take(9) ?? []) served[streamId] = (served[streamId] ?? 0) + 1;
    }
    expect(served).toEqual({ a: 20, b: 20, c: 20 });
  });

  it('gives all up at the end', () => {
    const frames = batcher(1);
    frames.add(latest('a', 1));
    frames.add(latest('a', 2));
    frames.add(latest('b', 1));
    expect(frames.clear().map(({ streamId, seq }) => `${streamId}${seq}`)).toEqual(['a1', 'a2', 'b1']);
    expect(frames.length).toBe(0);
    expect(frames.dueInMs()).toBeNull();
  });

  it('gives streams of very different rates the same number of turns, while they have frames', () => {
    const rates: Record<string, number> = { slow: 1, steady: 2, fast: 6, torrent: 30 };
    const frames = batcher(2);
    const served = new Map<string, number>();
    const waiting = new Map<string, number>();
    for (let round = 0; round < 200; round++) {
      for (const [stream, rate] of Object.entries(rates)) {
        // As ingest does it: no more of a stream than two are with a worker.
        for (let seq = 0; seq < rate && (waiting.get(stream) ?? 0) < 2; seq++) {
          frames.add(latest(stream, round * 100 + seq));
          waiting.set(stream, (waiting.get(stream) ?? 0) + 1);
        }
      }
      const batch = frames.take(0) ?? [];
      // However full the queues are: a stream is in a batch once.
      expect(new Set(batch.map(({ streamId }) => streamId)).size).toBe(batch.length);
      for (const { streamId } of batch) {
        served.set(streamId, (served.get(streamId) ?? 0) + 1);
        waiting.set(streamId, (waiting.get(streamId) ?? 0) - 1);
      }
    }
    expect(Object.fromEntries(served)).toEqual({ slow: 100, steady: 100, fast: 100, torrent: 100 });
  });

  it('lets a stream that was away come after those that wait, and not before', () => {
    const frames = batcher(1);
    frames.add(latest('a', 1));
    frames.add(latest('b', 1));
    expect(names(frames.take(0))).toEqual(['a1']);
    frames.add(latest('a', 2));
    frames.add(latest('c', 1));
    expect([frames.take(0), frames.take(0), frames.take(0)].map(names)).toEqual([['b1'], ['a2'], ['c1']]);
  });
});

describe('deadlines in a Batcher', () => {
  it('has none to give up when none has a deadline', () => {
    const frames = batcher();
    frames.add(lossless('a'));
    nowMs += 1e9;
    expect([frames.takeExpired(1e9), frames.expiresInMs(0), frames.length]).toEqual([[], null, 1]);
  });

  it('gives up a frame whose lease ends before a batch that starts now would be done', () => {
    const frames = batcher();
    frames.add(latest('a', 1, 1_500));
    frames.add(latest('b', 1, 1_700));
    expect(frames.expiresInMs(100)).toBe(400);
    nowMs += 399;
    expect(frames.takeExpired(100)).toEqual([]);
    nowMs += 1;
    expect(frames.expiresInMs(100)).toBe(0);
    expect(names(frames.takeExpired(100))).toEqual(['a1']);
    expect([frames.length, frames.expiresInMs(100)]).toEqual([1, 200]);
    expect(names(frames.take(0))).toEqual(['b1']);
    expect([frames.length, frames.expiresInMs(0)]).toEqual([0, null]);
  });

  it('leaves the turns of the others, and the other frames of the same stream', () => {
    const frames = batcher(4);
    frames.add(latest('a', 1, 1_010));
    frames.add(latest('b', 1, 2_000));
    frames.add(latest('a', 2, 2_000));
    frames.add(lossless('c', 1, 1_010));
    frames.add(lossless('d', 1));
    nowMs += 10;
    expect(names(frames.takeExpired(0))).toEqual(['a1', 'c1']);
    expect(names(frames.take(0))).toEqual(['a2', 'b1', 'd1']);
    expect(frames.take(0)).toBeNull();
  });

  it('does not count expired frames as waiting any more', () => {
    const frames = batcher(2);
    frames.add(latest('a', 1, 1_010));
    frames.add(latest('b', 1));
    expect(frames.full).toBe(true);
    nowMs += 10;
    frames.takeExpired(0);
    expect([frames.full, frames.length, frames.clear().length]).toEqual([false, 1, 1]);
  });
});
