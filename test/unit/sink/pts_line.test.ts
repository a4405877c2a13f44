import { describe, expect, it } from 'vitest';
import { PtsLine } from '../../../services/sink/pts_line.js';

const MS = 1_000_000n;

describe('PtsLine', () => {
  it('leaves good timestamps as they are', () => {
    const line = new PtsLine();
    for (const t of [0n, 40n, 80n, 140n]) expect(line.next(t * MS, t * MS)).toBe(t * MS);
  });

  it('goes on by the decoder clock when the source starts again', () => {
    const line = new PtsLine();
    line.next(5000n * MS, 100_000n * MS);
    expect(line.next(0n, 103_000n * MS)).toBe(8000n * MS);
    expect(line.next(40n * MS, 103_040n * MS)).toBe(8040n * MS);
  });

  it('goes on by the decoder clock after a leap forward', () => {
    const line = new PtsLine();
    line.next(0n, 0n);
    expect(line.next(3_600_000n * MS, 40n * MS)).toBe(40n * MS);
    expect(line.next(3_600_040n * MS, 80n * MS)).toBe(80n * MS);
  });

  it('keeps the timestamps of a file that is decoded faster than it plays', () => {
    const line = new PtsLine();
    line.next(0n, 0n);
    expect(line.next(100n * MS, 1n * MS)).toBe(100n * MS);
  });

  it('rises even when nothing says how much', () => {
    const line = new PtsLine();
    const out = [0n, 0n, 0n].map(() => line.next(7n, 7n));
    expect(out).toEqual([7n, 7n + MS, 7n + 2n * MS]);
  });
});
