import { describe, expect, it } from 'vitest';
import { toClassMasks, type ClassMask } from '../../../services/infer/class_mask.js';
import { randomNumbers } from '../../helpers/decoding.js';

const SAME = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
const wanted = (classIndex: number): boolean => classIndex > 0;

/** A mask as it was, cell by cell. */
function cellsOf({ width, height, runs }: ClassMask): boolean[] {
  const cells = runs.flatMap((length, index) => Array<boolean>(length).fill(index % 2 === 1));
  return [...cells, ...Array<boolean>(width * height - cells.length).fill(false)];
}

describe('toClassMasks', () => {
  it('counts cells without and with the class in turn, across rows', () => {
    // prettier-ignore
    const classes = Uint8Array.of(
      1, 1, 0, 2,
      2, 2, 0, 0,
      0, 0, 1, 0,
    );
    const masks = toClassMasks({ width: 4, height: 3, classes }, { geometry: SAME, shown: { x: 0, y: 0, width: 4, height: 3 }, inputWidth: 4, inputHeight: 3 }, wanted);
    const area = { x: 0, y: 0, width: 4, height: 3 };
    expect(masks).toEqual([
      { classIndex: 1, width: 4, height: 3, area, runs: [0, 2, 8, 1], cells: 3 },
      { classIndex: 2, width: 4, height: 3, area, runs: [3, 3], cells: 3 },
    ]);
  });

  it('can be drawn again cell by cell', () => {
    const random = randomNumbers(7);
    const [width, height] = [23, 17];
    const classes = Int32Array.from({ length: width * height }, () => Math.floor(random() * 4) - 1);
    const picture = { geometry: SAME, shown: { x: 0, y: 0, width, height }, inputWidth: width, inputHeight: height };
    const masks = toClassMasks({ width, height, classes }, picture, (classIndex) => classIndex >= 0 && classIndex !== 2);
    expect(masks.map(({ classIndex }) => classIndex)).toEqual([0, 1]);
    for (const mask of masks) {
      const expected = [...classes].map((classIndex) => classIndex === mask.classIndex);
      expect(cellsOf(mask)).toEqual(expected);
      expect(mask.cells).toBe(expected.filter(Boolean).length);
    }
  });

  it('cuts the padding off, and says what the rest lies over', () => {
    // A frame of 200 × 100 in the middle of 16 × 16: 16 × 8, four rows of padding above. The map has cells of 2 × 2.
    const geometry = { scaleX: 0.08, scaleY: 0.08, offsetX: 0, offsetY: 4 };
    const classes = new Uint8Array(64).fill(1, 0, 16).fill(2, 16, 24).fill(3, 48);
    const masks = toClassMasks({ width: 8, height: 8, classes }, { geometry, shown: { x: 0, y: 0, width: 200, height: 100 }, inputWidth: 16, inputHeight: 16 }, wanted);
    expect(masks).toEqual([
      { classIndex: 2, width: 8, height: 4, area: { x: 0, y: 0, width: 200, height: 100 }, runs: [0, 8], cells: 8 },
    ]);
  });

  it('may stand out of the frame by a part of a cell', () => {
    // The picture begins one network pixel into a cell of four.
    const geometry = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 1 };
    const classes = new Uint8Array(4).fill(1);
    const [mask] = toClassMasks({ width: 2, height: 2, classes }, { geometry, shown: { x: 0, y: 0, width: 8, height: 6 }, inputWidth: 8, inputHeight: 8 }, wanted);
    expect(mask?.area).toEqual({ x: 0, y: -1, width: 8, height: 8 });
  });
});
