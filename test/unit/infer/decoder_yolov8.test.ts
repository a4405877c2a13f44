import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, randomNumbers, rounded, rowsOf } from '../../helpers/decoding.js';

const options = { decoder: { kind: 'yolov8', output: 'o', strides: [8] }, labels: { 0: 'cat', 1: 'dog' }, width: 32, height: 16 };
const CELLS = 8;

describe('decoder yolov8', () => {
  it.each([false, true])('finds what plain loops find, channel after channel; multi_label %s', async (multiLabel) => {
    const random = randomNumbers(8);
    const data = Array.from({ length: 2 * 6 * CELLS }, () => Math.fround(random()));
    // (c, i) of picture 1 is at c · cells + i.
    const at = (channel: number, cell: number): number => data[6 * CELLS + channel * CELLS + cell] ?? NaN;
    const expected: number[][] = [];
    for (let cell = 0; cell < CELLS; cell++) {
      const [x, y, w, h, cat, dog] = [at(0, cell), at(1, cell), at(2, cell), at(3, cell), at(4, cell), at(5, cell)];
      for (const [index, score] of [cat, dog].entries()) {
        if (score > 0.4 && (multiLabel || score === Math.max(cat, dog))) {
          expected.push([x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index]);
        }
      }
    }
    const kind = decoderManifest({ ...options, decoder: { ...options.decoder, multi_label: multiLabel } });
    const found = await decode(kind, { o: floats([2, 6, CELLS], data) }, [0.4, 0.4], { frame: 1, batch: 2 });
    const order = (rows: number[][]): number[][] => rounded(rows).toSorted((a, b) => (a[4] ?? 0) - (b[4] ?? 0));
    expect(expected.length).toBeGreaterThan(4);
    expect(order(rowsOf(found))).toEqual(order(expected));
  });

  it('takes [1, 6, 8400] for two classes, not [1, 8400, 6] or [1, 300, 6]', async () => {
    const two = decoderManifest({ ...options, decoder: { kind: 'yolov8', output: 'o' }, width: 640, height: 640 });
    expect(await misfit(two, { o: empty([1, 6, 8400]) })).toBeNull();
    expect(await misfit(two, { o: empty([1, 8400, 6]) })).toBe('model m: output "o" is [1, 8400, 6], decoder yolov8 expects [1, 6, 8400]');
    expect(await misfit(two, { o: empty([1, 300, 6]) })).toBe('model m: output "o" is [1, 300, 6], decoder yolov8 expects [1, 6, 8400]');
    expect(await misfit(two, { o: empty([1, 6, 8400], 'int32') })).toBe('model m: output "o" is int32 [1, 6, 8400], decoder yolov8 expects float32');
  });
});
