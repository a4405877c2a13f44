import { describe, expect, it } from 'vitest';
import { Candidates } from '../../../services/infer/candidates.js';
import { decodeSsd } from '../../../services/infer/decoder_ssd.js';
import { cellCount, decodeYolox } from '../../../services/infer/decoder_yolox.js';
import { BestClasses, decodeYolov8, decodeYolov8MultiLabel } from '../../../services/infer/decoder_yolov8.js';

/** Rows as the decoder found them: x1, y1, x2, y2, score, class. */
function rows(candidates: Candidates): number[][] {
  return Array.from({ length: candidates.count }, (_, index) => [
    ...candidates.boxes.subarray(index * 4, index * 4 + 4),
    candidates.scores[index] ?? Number.NaN,
    candidates.classes[index] ?? Number.NaN,
  ]);
}

function expectRows(candidates: Candidates, expected: number[][]): void {
  const actual = rows(candidates);
  expect(actual).toHaveLength(expected.length);
  for (const [index, row] of expected.entries()) {
    for (const [column, value] of row.entries()) expect(actual[index]?.[column]).toBeCloseTo(value, 4);
  }
}

describe('decodeSsd', () => {
  // Two anchors, three classes, a picture of 200 × 100.
  const frame = {
    boxes: Float32Array.of(0.1, 0.2, 0.5, 0.6, 0, 0, 1, 1),
    scores: Float32Array.of(0.9, 0.1, 0.6, 0.3, 0.75, 0.2),
    width: 200,
    height: 100,
  };

  it('reads y1, x1, y2, x2 and reports every class above its threshold', () => {
    const found = new Candidates();
    decodeSsd({ ...frame, boxOrder: 'yxyx' }, Float64Array.of(0.5, 0.5, 0.5), found);
    expectRows(found, [
      [40, 10, 120, 50, 0.9, 0],
      [40, 10, 120, 50, 0.6, 2],
      [0, 0, 200, 100, 0.75, 1],
    ]);
  });

  it('reads x1, y1, x2, y2', () => {
    const found = new Candidates();
    decodeSsd({ ...frame, boxOrder: 'xyxy' }, Float64Array.of(0.8, 1, 1), found);
    expectRows(found, [[20, 20, 100, 60, 0.9, 0]]);
  });

  it('leaves out a score that is the threshold itself, and classes nobody wants', () => {
    const found = new Candidates();
    decodeSsd({ ...frame, boxOrder: 'yxyx' }, Float64Array.of(Infinity, 0.75, Infinity), found);
    expectRows(found, []);
  });
});

describe('decodeYolox', () => {
  // A picture of 16 × 8 at stride 8 has two cells; at stride 4 it has 4 × 2, so ten in all.
  const strides = [4, 8];
  const classes = 2;
  const cells = cellCount(16, 8, strides);

  function frame(cell: number, row: number[], decoded = false, multiLabel = false) {
    const all = new Float32Array(cells * (5 + classes));
    all.set(row, cell * (5 + classes));
    return { rows: all, width: 16, height: 8, strides, decoded, multiLabel };
  }

  it('counts the cells of all grids', () => {
    expect(cells).toBe(10);
    expect(cellCount(416, 416, [8, 16, 32])).toBe(3549);
    expect(cellCount(640, 640, [8, 16, 32])).toBe(8400);
  });

  it('adds the cell, multiplies by the stride, and takes the exponential of the size', () => {
    // Cell 6 is row 1, column 2 of the first grid (stride 4). x = (0.5 + 2) · 4 = 10,
    // y = (0.25 + 1) · 4 = 5, w = e^0 · 4 = 4, h = e^ln2 · 4 = 8; score 0.8 · 0.5 = 0.4.
    const found = new Candidates();
    decodeYolox(frame(6, [0.5, 0.25, 0, Math.log(2), 0.8, 0.25, 0.5]), Float64Array.of(0.3, 0.3), found);
    expectRows(found, [[8, 1, 12, 9, 0.4, 1]]);
  });

  it('goes on with the next grid', () => {
    // Cell 9 is row 0, column 1 of the second grid (stride 8): x = 8, y = 8 · 0.5 = 4, w = h = 8.
    const found = new Candidates();
    decodeYolox(frame(9, [0, 0.5, 0, 0, 1, 0.9, 0.1]), Float64Array.of(0.3, 0.3), found);
    expectRows(found, [[4, 0, 12, 8, 0.9, 0]]);
  });

  it('takes boxes as they are when the graph has decoded them', () => {
    const found = new Candidates();
    decodeYolox(frame(3, [10, 6, 4, 2, 0.5, 1, 0], true), Float64Array.of(0.3, 0.3), found);
    expectRows(found, [[8, 5, 12, 7, 0.5, 0]]);
  });

  it('reports the best class only, and only above its own threshold', () => {
    const row = [0, 0, 0, 0, 1, 0.6, 0.7];
    const found = new Candidates();
    decodeYolox(frame(0, row), Float64Array.of(0.3, 0.8), found);
    expectRows(found, []);
    decodeYolox(frame(0, row), Float64Array.of(Infinity, 0.65), found);
    expectRows(found, [[-2, -2, 2, 2, 0.7, 1]]);
  });

  it('reports every class above its threshold when the manifest says so', () => {
    const found = new Candidates();
    decodeYolox(frame(0, [0, 0, 0, 0, 0.5, 0.6, 0.8], false, true), Float64Array.of(0.29, 0.3), found);
    expectRows(found, [
      [-2, -2, 2, 2, 0.3, 0],
      [-2, -2, 2, 2, 0.4, 1],
    ]);
  });

  it('takes the first of two equal classes', () => {
    const found = new Candidates();
    decodeYolox(frame(0, [0, 0, 0, 0, 1, 0.5, 0.5]), Float64Array.of(0.3, 0.3), found);
    expect(found.classes[0]).toBe(0);
  });
});

describe('decodeYolov8', () => {
  it('reads channel after channel and takes the best class of each cell', () => {
    // Three cells; channels cx, cy, w, h, class 0, class 1.
    const channels = Float32Array.of(
      ...[10, 20, 30],
      ...[5, 15, 25],
      ...[4, 8, 2],
      ...[2, 10, 6],
      ...[0.2, 0.9, 0.1],
      ...[0.8, 0.3, 0.15],
    );
    const found = new Candidates();
    const best = new BestClasses(3);
    decodeYolov8(channels, best, Float64Array.of(0.25, 0.25), found);
    expectRows(found, [
      [8, 4, 12, 6, 0.8, 1],
      [16, 10, 24, 20, 0.9, 0],
    ]);
    found.clear();
    decodeYolov8MultiLabel(channels, 3, Float64Array.of(0.15, 0.25), found);
    expectRows(found, [
      [8, 4, 12, 6, 0.2, 0],
      [16, 10, 24, 20, 0.9, 0],
      [8, 4, 12, 6, 0.8, 1],
      [16, 10, 24, 20, 0.3, 1],
    ]);
    // The scratch arrays of the frame before must not show through.
    found.clear();
    decodeYolov8(channels.map((value, index) => (index >= 12 ? value / 10 : value)), best, Float64Array.of(0.085, 0.05), found);
    expectRows(found, [
      [8, 4, 12, 6, 0.08, 1],
      [16, 10, 24, 20, 0.09, 0],
    ]);
  });
});
