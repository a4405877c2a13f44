import { describe, expect, it } from 'vitest';
import { Candidates } from '../../../services/infer/candidates.js';
import { intersectionOverUnion, nonMaximumSuppression } from '../../../services/infer/nms.js';

type Box = [x1: number, y1: number, x2: number, y2: number, score: number, classIndex: number];

function candidates(...boxes: Box[]): Candidates {
  const all = new Candidates(1);
  for (const box of boxes) all.push(...box);
  return all;
}

const PER_CLASS = { kind: 'per_class', iou: 0.5 } as const;

describe('intersectionOverUnion', () => {
  it('is the shared area over the whole', () => {
    // 100 + 100 − 50 shared = 150.
    expect(intersectionOverUnion(Float32Array.of(0, 0, 10, 10, 5, 0, 15, 10), 0, 4)).toBeCloseTo(50 / 150, 12);
  });

  it('is 1 for a box with itself and 0 for boxes that only touch', () => {
    expect(intersectionOverUnion(Float32Array.of(2, 3, 7, 9, 2, 3, 7, 9), 0, 4)).toBe(1);
    expect(intersectionOverUnion(Float32Array.of(0, 0, 10, 10, 10, 0, 20, 10), 0, 4)).toBe(0);
  });

  it('is 0, not NaN, for two empty boxes', () => {
    expect(intersectionOverUnion(Float32Array.of(5, 5, 5, 5, 5, 5, 5, 5), 0, 4)).toBe(0);
  });
});

describe('nonMaximumSuppression', () => {
  it('keeps the best of boxes that overlap, best first', () => {
    const boxes = candidates([0, 0, 10, 10, 0.6, 0], [1, 0, 11, 10, 0.9, 0], [50, 50, 60, 60, 0.7, 0]);
    expect(nonMaximumSuppression(boxes, PER_CLASS, 10)).toEqual([1, 2]);
  });

  it('keeps a box whose overlap is exactly the limit', () => {
    // Shared 50, together 100: the intersection over union is 0.5.
    const boxes = candidates([0, 0, 10, 10, 0.9, 0], [0, 0, 10, 5, 0.8, 0]);
    expect(nonMaximumSuppression(boxes, PER_CLASS, 10)).toEqual([0, 1]);
    expect(nonMaximumSuppression(boxes, { kind: 'per_class', iou: 0.49 }, 10)).toEqual([0]);
  });

  it('lets only boxes of one class suppress each other, or all', () => {
    const boxes = candidates([0, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, 0.8, 1], [0, 0, 10, 10, 0.7, 1]);
    expect(nonMaximumSuppression(boxes, PER_CLASS, 10)).toEqual([0, 1]);
    expect(nonMaximumSuppression(boxes, { kind: 'agnostic', iou: 0.5 }, 10)).toEqual([0]);
    expect(nonMaximumSuppression(boxes, { kind: 'none', iou: 0.5 }, 10)).toEqual([0, 1, 2]);
  });

  it('does not let a suppressed box suppress another', () => {
    // A chain: each overlaps its neighbour by 2/3, but the ends only by 3/7.
    const boxes = candidates([0, 0, 10, 10, 0.9, 0], [2, 0, 12, 10, 0.8, 0], [4, 0, 14, 10, 0.7, 0]);
    expect(nonMaximumSuppression(boxes, PER_CLASS, 10)).toEqual([0, 2]);
  });

  it('puts the earlier of two equal scores first', () => {
    const boxes = candidates([40, 0, 50, 10, 0.5, 0], [0, 0, 10, 10, 0.5, 0], [80, 0, 90, 10, 0.5, 0]);
    expect(nonMaximumSuppression(boxes, PER_CLASS, 10)).toEqual([0, 1, 2]);
  });

  it('stops at the number of boxes that is wanted', () => {
    const boxes = candidates([0, 0, 1, 1, 0.5, 0], [10, 0, 11, 1, 0.9, 0], [20, 0, 21, 1, 0.7, 0]);
    expect(nonMaximumSuppression(boxes, PER_CLASS, 2)).toEqual([1, 2]);
    expect(nonMaximumSuppression(candidates(), PER_CLASS, 2)).toEqual([]);
  });
});
