import { describe, expect, it } from 'vitest';
import { Candidates } from '../../../services/infer/candidates.js';
import { toFrameBoxes } from '../../../services/infer/frame_boxes.js';

/** A frame of 768 × 576 letterboxed into 416 × 416 at the top left: one scale, no offset. */
const LETTERBOX = { scaleX: 416 / 768, scaleY: 416 / 768, offsetX: 0, offsetY: 0 };

function candidates(...boxes: [number, number, number, number, number, number][]): Candidates {
  const all = new Candidates();
  for (const box of boxes) all.push(...box);
  return all;
}

describe('toFrameBoxes', () => {
  it('goes back from network pixels to frame pixels, in the order that was kept', () => {
    const all = candidates([104, 52, 208, 156, 0.5, 3], [0, 0, 52, 52, 0.9, 1]);
    const rows = toFrameBoxes(all, [1, 0], LETTERBOX, { x: 0, y: 0, width: 768, height: 576 });
    const expected = [0, 0, 96, 96, 0.9, 1, 192, 96, 192, 192, 0.5, 3];
    expect(rows).toHaveLength(expected.length);
    for (const [index, value] of expected.entries()) expect(rows[index]).toBeCloseTo(value, 3);
  });

  it('undoes padding and separate scales', () => {
    const rows = toFrameBoxes(candidates([30, 50, 50, 90, 1, 0]), [0], { scaleX: 2, scaleY: 4, offsetX: 10, offsetY: 50 }, { x: 0, y: 0, width: 100, height: 100 });
    expect([...rows]).toEqual([10, 0, 10, 10, 1, 0]);
  });

  it('clips to the frame, and leaves out what lies outside', () => {
    const same = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
    const all = candidates([-5, -5, 10, 10, 1, 0], [90, 40, 130, 60, 1, 0], [101, 0, 120, 10, 1, 0], [10, 20, 10, 30, 1, 0]);
    expect([...toFrameBoxes(all, [0, 1, 2, 3], same, { x: 0, y: 0, width: 100, height: 50 })]).toEqual([0, 0, 10, 10, 1, 0, 90, 40, 10, 10, 1, 0]);
  });
});
