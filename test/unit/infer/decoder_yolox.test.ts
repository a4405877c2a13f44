import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, floats, randomNumbers, rounded, rowsOf } from '../../helpers/decoding.js';

describe('decoder yolox', () => {
  it('finds what plain loops find: x runs fastest, then y, then the grids', async () => {
    // 3 × 2 cells of 8 and 1 × 1 of 16; a picture that is wider than high shows x and y swapped.
    const manifest = decoderManifest({
      decoder: { kind: 'yolox', output: 'o', strides: [8, 16], decoded: false },
      labels: { 0: 'cat', 1: 'dog' },
      width: 24,
      height: 16,
    });
    const cells: [x: number, y: number, stride: number][] = [];
    for (const y of [0, 1]) for (const x of [0, 1, 2]) cells.push([x, y, 8]);
    cells.push([0, 0, 16]);
    const random = randomNumbers(3);
    const data = Array.from({ length: 2 * cells.length * 7 }, () => Math.fround(random()));
    const expected = cells.flatMap(([column, row, stride], cell) => {
      const [x = 0, y = 0, w = 0, h = 0, objectness = 0, cat = 0, dog = 0] = data.slice((cells.length + cell) * 7);
      const score = objectness * Math.max(cat, dog);
      if (score <= 0.2) return [];
      const [cx, cy, width, height] = [(x + column) * stride, (y + row) * stride, Math.exp(w) * stride, Math.exp(h) * stride];
      return [[cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2, score, dog > cat ? 1 : 0]];
    });
    const found = await decode(manifest, { o: floats([2, cells.length, 7], data) }, [0.2, 0.2], { frame: 1, batch: 2 });
    expect(expected.length).toBeGreaterThan(3);
    expect(rounded(rowsOf(found))).toEqual(rounded(expected));
  });
});
