import type { PreprocessGeometry } from '../../native/contract.js';
import type { Candidates } from './candidates.js';

/** Numbers of one detection: x, y, width, height in pixels of the frame, score, channel. */
export const ROW = 6;

/**
 * Takes boxes from the network's picture back to the frame and clips them to
 * it. Boxes of which nothing is left are left out.
 *
 * @param kept indices of the boxes to take, in order
 * @returns rows of `ROW` numbers
 */
export function toFrameBoxes(
  candidates: Candidates,
  kept: readonly number[],
  geometry: PreprocessGeometry,
  width: number,
  height: number,
): Float32Array {
  const { boxes, scores, classes } = candidates;
  const { scaleX, scaleY, offsetX, offsetY } = geometry;
  const toX = (x: number): number => Math.min(width, Math.max(0, (x - offsetX) / scaleX));
  const toY = (y: number): number => Math.min(height, Math.max(0, (y - offsetY) / scaleY));
  const rows = new Float32Array(kept.length * ROW);
  let count = 0;
  for (const index of kept) {
    const box = index * 4;
    const [x1, y1] = [toX(boxes[box] as number), toY(boxes[box + 1] as number)];
    const [x2, y2] = [toX(boxes[box + 2] as number), toY(boxes[box + 3] as number)];
    if (!(x2 > x1 && y2 > y1)) continue;
    rows.set([x1, y1, x2 - x1, y2 - y1, scores[index] as number, classes[index] as number], count * ROW);
    count += 1;
  }
  return rows.slice(0, count * ROW);
}
