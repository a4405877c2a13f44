import { describe, expect, it } from 'vitest';
import { comparePositions, ReorderWindow, type Position } from '../../../services/sink/reorder.js';

const at = (seq: number, epoch = 1, missingBefore = 0): Position => ({
  epochCreatedNs: BigInt(epoch),
  seq: BigInt(seq),
  missingBefore,
});

function windowOf(size: number, deadlineMs = 1000) {
  const out: Position[] = [];
  const clock = { ms: 0 };
  const window = new ReorderWindow<Position>(
    { size, deadlineMs, emit: (item) => out.push(item) },
    () => clock.ms,
  );
  const push = (position: Position) => window.push(position, position);
  const seqs = () => out.map((p) => Number(p.seq));
  return { window, push, out, seqs, clock };
}

/** A small deterministic generator (mulberry32), so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe('ReorderWindow', () => {
  it('lets frames in order through at once', () => {
    const { push, seqs, window } = windowOf(4);
    for (const seq of [0, 1, 2, 3]) expect(push(at(seq))).toBe('accepted');
    expect(seqs()).toEqual([0, 1, 2, 3]);
    expect(window.nextDeadlineMs()).toBeNull();
  });

  it('waits for the gap to fill', () => {
    const { push, seqs } = windowOf(4);
    push(at(0));
    push(at(2));
    push(at(3));
    expect(seqs()).toEqual([0]);
    push(at(1));
    expect(seqs()).toEqual([0, 1, 2, 3]);
  });

  it('waits for frame 0 when the first to come is not it', () => {
    const { push, seqs } = windowOf(4);
    push(at(1));
    expect(seqs()).toEqual([]);
    push(at(0));
    expect(seqs()).toEqual([0, 1]);
  });

  it('starts at once in the middle of a stream', () => {
    const { push, seqs } = windowOf(4);
    push(at(1000));
    expect(seqs()).toEqual([1000]);
    expect(push(at(999))).toBe('late');
  });

  it('gives a gap up when a frame has waited for its deadline', () => {
    const { push, seqs, clock, window } = windowOf(8, 1000);
    push(at(0));
    clock.ms = 100;
    push(at(2));
    clock.ms = 400;
    push(at(4));
    expect(window.nextDeadlineMs()).toBe(1100);
    clock.ms = 1099;
    window.tick();
    expect(seqs()).toEqual([0]);
    clock.ms = 1100;
    window.tick();
    expect(seqs()).toEqual([0, 2]);
    expect(window.nextDeadlineMs()).toBe(1400);
    expect(push(at(1))).toBe('late');
    expect(push(at(3))).toBe('accepted');
    expect(seqs()).toEqual([0, 2, 3, 4]);
  });

  it('lets nothing wait longer because an earlier frame came after it', () => {
    const { push, seqs, clock, window } = windowOf(8, 1000);
    push(at(0));
    push(at(5));
    clock.ms = 900;
    push(at(3));
    clock.ms = 1000;
    window.tick();
    expect(seqs()).toEqual([0, 3, 5]);
  });

  it('gives the earliest gap up when the window is full', () => {
    const { push, seqs } = windowOf(3);
    push(at(0));
    for (const seq of [2, 3, 5]) push(at(seq));
    expect(seqs()).toEqual([0]);
    push(at(6));
    expect(seqs()).toEqual([0, 2, 3]);
    push(at(4));
    expect(seqs()).toEqual([0, 2, 3, 4, 5, 6]);
  });

  it('keeps the first of two results for a frame', () => {
    const { push, seqs } = windowOf(4);
    push(at(0));
    push(at(2));
    expect(push(at(2))).toBe('duplicate');
    expect(push(at(0))).toBe('duplicate');
    push(at(1));
    expect(push(at(1))).toBe('duplicate');
    expect(seqs()).toEqual([0, 1, 2]);
  });

  it('follows a stream into a new epoch, numbered on or from 0', () => {
    const { push, out } = windowOf(4);
    push(at(0, 1));
    push(at(1, 1));
    push(at(2, 2));
    push(at(0, 3));
    expect(out).toEqual([at(0, 1), at(1, 1), at(2, 2), at(0, 3)]);
    expect(push(at(3, 2))).toBe('late');
  });

  it('keeps a new epoch behind the gap of the old one', () => {
    const { push, out } = windowOf(4);
    push(at(0, 1));
    push(at(2, 1));
    push(at(3, 2));
    expect(out).toEqual([at(0, 1)]);
    push(at(1, 1));
    expect(out).toEqual([at(0, 1), at(1, 1), at(2, 1), at(3, 2)]);
  });

  it('does not wait for frames that are known to be missing', () => {
    const { push, seqs } = windowOf(8);
    push(at(2, 1, 2));
    push(at(5, 1, 2));
    push(at(9, 1, 1));
    expect(seqs()).toEqual([2, 5]);
    push(at(7));
    push(at(6));
    expect(seqs()).toEqual([2, 5, 6, 7, 9]);
  });

  it('takes an older epoch for a new beginning when nothing else has come for long', () => {
    const { push, out, clock } = windowOf(4);
    push(at(0, 9));
    push(at(1, 9));
    clock.ms = 5000;
    expect(push(at(0, 5))).toBe('late');
    clock.ms = 5001;
    expect(push(at(0, 9))).toBe('duplicate');
    expect(push(at(0, 5))).toBe('accepted');
    expect(push(at(1, 5))).toBe('accepted');
    expect(out.slice(2)).toEqual([at(0, 5), at(1, 5)]);
  });

  it('empties on flush', () => {
    const { push, seqs, window } = windowOf(8);
    for (const seq of [0, 3, 5, 2]) push(at(seq));
    window.flush();
    expect(seqs()).toEqual([0, 2, 3, 5]);
    expect(window.held).toBe(0);
  });

  it('keeps order and loses nothing uncounted, whatever comes (200 random runs)', () => {
    for (let seed = 0; seed < 200; seed++) {
      const next = random(seed);
      const size = 1 + Math.floor(next() * 12);
      const { window, push, out, clock } = windowOf(size, 50);
      const inputs = disordered(next, 300);
      let refused = 0;
      let most = 0;
      for (const position of inputs) {
        if (push(position) !== 'accepted') refused++;
        clock.ms += Math.floor(next() * 20);
        if (next() < 0.5) window.tick();
        most = Math.max(most, window.held);
      }
      window.flush();
      expect(most, `seed ${seed}`).toBeLessThanOrEqual(size);
      const wrong = out.findIndex((p, i) => i > 0 && comparePositions(out[i - 1] as Position, p) >= 0);
      expect(wrong, `seed ${seed}: first output out of order`).toBe(-1);
      expect(out.length + refused, `seed ${seed}`).toBe(inputs.length);
    }
  });

  it('restores any order within the window without a loss (50 random runs)', () => {
    for (let seed = 0; seed < 50; seed++) {
      const next = random(seed + 1000);
      const { push, seqs } = windowOf(16, 1000);
      const block = Array.from({ length: 16 }, (_, i) => i);
      const order = [0, 1, 2, 3].flatMap((b) => shuffled(next, block).map((i) => b * 16 + i));
      for (const seq of order) expect(push(at(seq)), `seed ${seed}`).toBe('accepted');
      expect(seqs(), `seed ${seed}`).toEqual(Array.from({ length: 64 }, (_, i) => i));
    }
  });
});

function shuffled<T>(next: () => number, items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

/** A stream over several epochs with frames lost, repeated and out of order. */
function disordered(next: () => number, count: number): Position[] {
  const frames: { position: Position; time: number }[] = [];
  let epoch = 1;
  let seq = 0;
  for (let i = 0; i < count; i++) {
    if (next() < 0.02) {
      epoch++;
      if (next() < 0.5) seq = 0;
    }
    const copies = next() < 0.05 ? 0 : next() < 0.05 ? 2 : 1;
    for (let c = 0; c < copies; c++) {
      frames.push({ position: at(seq, epoch), time: i + next() * (next() < 0.3 ? 20 : 2) });
    }
    seq++;
  }
  return frames.sort((a, b) => a.time - b.time).map((f) => f.position);
}
