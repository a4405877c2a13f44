import { describe, expect, it } from 'vitest';
import { intersectionOverUnion } from '../../../../services/sink/tracking/iou.js';

const box = (x: number, y: number, width: number, height: number) => ({ x, y, width, height });

describe('intersectionOverUnion', () => {
  it('is 1 for the same box and a share of the union otherwise', () => {
    expect(intersectionOverUnion(box(5, 6, 7, 8), box(5, 6, 7, 8))).toBe(1);
    expect(intersectionOverUnion(box(0, 0, 10, 10), box(5, 0, 10, 10))).toBeCloseTo(1 / 3);
    expect(intersectionOverUnion(box(0, 0, 10, 10), box(2, 2, 5, 5))).toBeCloseTo(0.25);
  });

  it('is 0 for boxes that touch, are apart, or have no area', () => {
    expect(intersectionOverUnion(box(0, 0, 10, 10), box(10, 0, 10, 10))).toBe(0);
    expect(intersectionOverUnion(box(0, 0, 10, 10), box(0, 30, 10, 10))).toBe(0);
    expect(intersectionOverUnion(box(0, 0, 0, 10), box(0, 0, 0, 10))).toBe(0);
    expect(intersectionOverUnion(box(Number.NaN, 0, 10, 10), box(0, 0, 10, 10))).toBe(0);
  });

  it('makes both boxes larger by the margin, on every side', () => {
    // Two boxes 4 apart, each larger by 3: they share 2 × 16 of 2 × 16 × 16 − 32.
    expect(intersectionOverUnion(box(0, 0, 10, 10), box(14, 0, 10, 10), 3)).toBeCloseTo(32 / 480);
    expect(intersectionOverUnion(box(0, 0, 10, 10), box(14, 0, 10, 10), 2)).toBe(0);
  });
});
