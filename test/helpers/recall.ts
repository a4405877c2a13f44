import { readFileSync } from 'node:fs';
import path from 'node:path';

/** A box in pixels of the frame. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What is in each frame of a clip; the first frame is entry 0. */
export type BoxesByFrame = readonly (readonly Box[])[];

/** Ground truth of a MOTChallenge 2015 sequence: `frame,id,x,y,w,h,conf,…`, frames from 1; conf 0 is to be ignored. */
export function readMotGroundTruth(sequence: string): Box[][] {
  const info = readFileSync(path.join(sequence, 'seqinfo.ini'), 'utf8');
  const length = Number(/^seqLength=(\d+)/m.exec(info)?.[1]);
  const frames: Box[][] = Array.from({ length }, () => []);
  for (const line of readFileSync(path.join(sequence, 'gt', 'gt.txt'), 'utf8').split('\n')) {
    const [frame = 0, , x = 0, y = 0, width = 0, height = 0, considered = 0] = line.split(',').map(Number);
    if (considered !== 0) frames[frame - 1]?.push({ x, y, width, height });
  }
  return frames;
}

export function intersectionOverUnion(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (a.width * a.height + b.width * b.height - width * height);
}

/** Most pairs that can be made of boxes whose overlap is at least `iou`, each box in one pair. */
export function countMatches(truth: readonly Box[], found: readonly Box[], iou: number): number {
  const pairOf = new Map<number, number>();
  const canPair = (index: number, tried: Set<number>): boolean =>
    found.some((box, other) => {
      const wanted = truth[index];
      if (tried.has(other) || wanted === undefined || intersectionOverUnion(wanted, box) < iou) return false;
      tried.add(other);
      const holder = pairOf.get(other);
      // Whoever has this one may have another instead.
      if (holder !== undefined && !canPair(holder, tried)) return false;
      pairOf.set(other, index);
      return true;
    });
  return truth.filter((_, index) => canPair(index, new Set())).length;
}

/**
 * Part of the true boxes that were found. With an offset of n, the boxes found
 * in frame i + n are held against the truth of frame i.
 */
export function recall(truth: BoxesByFrame, found: BoxesByFrame, offset = 0, iou = 0.5): number {
  let matched = 0;
  let total = 0;
  for (const [index, boxes] of truth.entries()) {
    matched += countMatches(boxes, found[index + offset] ?? [], iou);
    total += boxes.length;
  }
  return matched / total;
}

/** Recall at every offset, and the offset of the best. */
export function recallByOffset(
  truth: BoxesByFrame,
  found: BoxesByFrame,
  offsets: readonly number[] = [-2, -1, 0, 1, 2],
): { best: number; at: Map<number, number> } {
  const at = new Map(offsets.map((offset) => [offset, recall(truth, found, offset)]));
  const [best = Number.NaN] = [...at].toSorted((a, b) => b[1] - a[1])[0] ?? [];
  return { best, at };
}
