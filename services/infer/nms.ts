import type { Candidates } from './candidates.js';

/** How boxes that overlap are thinned out. */
export interface NmsOptions {
  /** per_class: only boxes of one class suppress each other. agnostic: all do. none: only `topK`. */
  kind: 'per_class' | 'agnostic' | 'none';
  /** A box goes when its intersection over union with a kept, better one is above this. */
  iou: number;
}

/**
 * Greedy non-maximum suppression. Returns the indices of the boxes that stay,
 * best first, at most `topK`; of equal scores the earlier one is first.
 *
 * A box is judged only against better ones, so the search ends as soon as
 * `topK` have been kept.
 *
 * @param isMeant whether a box takes part
 * @param before boxes that stay in any case, and count as better than all that are meant
 * @returns `before`, then the others
 */
export function nonMaximumSuppression(
  candidates: Candidates,
  options: NmsOptions,
  topK: number,
  isMeant: (index: number) => boolean = () => true,
  before: readonly number[] = [],
): number[] {
  const order = byScore(candidates);
  const kept = [...before];
  for (const index of order) {
    if (kept.length >= topK) break;
    if (!isMeant(index)) continue;
    if (options.kind === 'none' || !isSuppressed(candidates, index, kept, options)) kept.push(index);
  }
  return kept;
}

function byScore({ scores, count }: Candidates): Uint32Array {
  const order = new Uint32Array(count);
  for (let index = 0; index < count; index++) order[index] = index;
  return order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
}

function isSuppressed(candidates: Candidates, index: number, kept: readonly number[], { kind, iou }: NmsOptions): boolean {
  const { boxes, classes } = candidates;
  for (const better of kept) {
    if (kind === 'per_class' && classes[better] !== classes[index]) continue;
    if (intersectionOverUnion(boxes, better * 4, index * 4) > iou) return true;
  }
  return false;
}

/** Of two boxes x1, y1, x2, y2 at offsets `a` and `b`; 0 when both are empty. */
export function intersectionOverUnion(boxes: Float32Array, a: number, b: number): number {
  const [ax1, ay1, ax2, ay2] = [boxes[a] ?? 0, boxes[a + 1] ?? 0, boxes[a + 2] ?? 0, boxes[a + 3] ?? 0];
  const [bx1, by1, bx2, by2] = [boxes[b] ?? 0, boxes[b + 1] ?? 0, boxes[b + 2] ?? 0, boxes[b + 3] ?? 0];
  const width = Math.min(ax2, bx2) - Math.max(ax1, bx1);
  const height = Math.min(ay2, by2) - Math.max(ay1, by1);
  if (width <= 0 || height <= 0) return 0;
  const intersection = width * height;
  return intersection / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - intersection);
}
