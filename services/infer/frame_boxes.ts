import type { FrameRegion, PreprocessGeometry } from '../../native/contract.js';
import type { Candidates } from './candidates.js';

/** Numbers of one detection: x, y, width, height in pixels of the frame, score, channel. */
export const ROW = 6;

/**
 * Takes boxes from the network's picture back to the frame and clips them to
 * what was shown of it. Boxes of which nothing is left are left out.
 *
 * @param kept indices of the boxes to take, in order
 * @param shown the part of the frame that the network saw
 * @returns rows of `ROW` numbers
 */
export function toFrameBoxes(
  candidates: Candidates,
  kept: readonly number[],
  geometry: PreprocessGeometry,
  shown: FrameRegion,
): Float32Array {
  const { scores, classes } = candidates;
  const rows = new Float32Array(kept.length * ROW);
  let count = 0;
  for (const index of kept) {
    const clipped = clip(candidates, index, geometry, shown);
    if (clipped === null) continue;
    const [x1, y1, x2, y2] = clipped;
    rows.set([x1, y1, x2 - x1, y2 - y1, scores[index] as number, classes[index] as number], count * ROW);
    count += 1;
  }
  return rows.slice(0, count * ROW);
}

/**
 * Landmarks of the boxes that `toFrameBoxes` returns, in its order: x, y in
 * pixels of the frame, `candidates.points` pairs a box. They are not clipped.
 */
export function toFrameLandmarks(
  candidates: Candidates,
  kept: readonly number[],
  geometry: PreprocessGeometry,
  shown: FrameRegion,
): Float32Array {
  const { landmarks, points } = candidates;
  if (points === 0) return new Float32Array(0);
  const { scaleX, scaleY, offsetX, offsetY } = geometry;
  const visible = kept.filter((index) => clip(candidates, index, geometry, shown) !== null);
  const xy = new Float32Array(visible.length * points * 2);
  for (const [row, index] of visible.entries()) {
    for (let point = 0; point < points; point++) {
      const [from, to] = [(index * points + point) * 2, (row * points + point) * 2];
      xy[to] = ((landmarks[from] as number) - offsetX) / scaleX;
      xy[to + 1] = ((landmarks[from + 1] as number) - offsetY) / scaleY;
    }
  }
  return xy;
}

/** Corners in the frame, within what was shown; null when nothing is left. */
function clip(
  { boxes }: Candidates,
  index: number,
  { scaleX, scaleY, offsetX, offsetY }: PreprocessGeometry,
  shown: FrameRegion,
): [x1: number, y1: number, x2: number, y2: number] | null {
  const toX = (x: number): number => Math.min(shown.x + shown.width, Math.max(shown.x, (x - offsetX) / scaleX));
  const toY = (y: number): number => Math.min(shown.y + shown.height, Math.max(shown.y, (y - offsetY) / scaleY));
  const box = index * 4;
  const [x1, y1] = [toX(boxes[box] as number), toY(boxes[box + 1] as number)];
  const [x2, y2] = [toX(boxes[box + 2] as number), toY(boxes[box + 3] as number)];
  return x2 > x1 && y2 > y1 ? [x1, y1, x2, y2] : null;
}
