import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, randomNumbers, rounded, rowsOf } from '../../helpers/decoding.js';

/** A picture of 16 × 8 at strides 4 and 8: (8 + 2) cells × 3 boxes. */
const options = { decoder: { kind: 'yolov5', output: 'o', strides: [4, 8] }, labels: { 0: 'cat', 1: 'dog' }, width: 16, height: 8 };
const manifest = decoderManifest(options);
const BOXES = 30;

/** Everything 0 but some rows. */
function tensor(rows: Record<number, number[]>, columns = 7, pictures = 1) {
  const data = new Float32Array(pictures * BOXES * columns);
  for (const [row, values] of Object.entries(rows)) data.set(values, Number(row) * columns);
  return { o: floats([pictures, BOXES, columns], data) };
}

describe('decoder yolov5', () => {
  it('multiplies objectness and class, from centre and size to corners', async () => {
    const found = await decode(manifest, tensor({ 4: [10, 5, 4, 8, 0.8, 0.25, 0.75], 29: [1, 1, 2, 2, 0.5, 0.9, 0] }), [0.4, 0.5]);
    expect(rounded(rowsOf(found))).toEqual([
      [8, 1, 12, 9, 0.6, 1],
      [0, 0, 2, 2, 0.45, 0],
    ]);
  });

  it('leaves out a score that is its threshold, and takes the best class only unless told otherwise', async () => {
    const outputs = tensor({ 0: [4, 4, 2, 2, 0.5, 0.5, 1] });
    expect(rowsOf(await decode(manifest, outputs, [0.1, 0.5]))).toEqual([]);
    expect(rowsOf(await decode(manifest, outputs, [0.1, 0.49]))).toEqual([[3, 3, 5, 5, 0.5, 1]]);
    // The best class is not wanted: the second best does not take its place.
    expect(rowsOf(await decode(manifest, outputs, [0.1, Infinity]))).toEqual([]);
    const multi = decoderManifest({ ...options, decoder: { ...options.decoder, multi_label: true } });
    expect(rowsOf(await decode(multi, outputs, [0.1, 0.49]))).toEqual([
      [3, 3, 5, 5, 0.25, 0],
      [3, 3, 5, 5, 0.5, 1],
    ]);
  });

  it('finds what plain loops find, in the second picture of a batch', async () => {
    const random = randomNumbers(5);
    const [classes, pictures] = [2, 2];
    const data = Array.from({ length: pictures * BOXES * (5 + classes) }, random);
    const expected: number[][] = [];
    for (let box = BOXES; box < 2 * BOXES; box++) {
      const row = data.slice(box * 7, box * 7 + 7).map(Math.fround);
      const [x = 0, y = 0, w = 0, h = 0, objectness = 0, cat = 0, dog = 0] = row;
      const score = objectness * Math.max(cat, dog);
      if (score > 0.3) expected.push([x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, dog > cat ? 1 : 0]);
    }
    const found = await decode(manifest, { o: floats([pictures, BOXES, 7], data) }, [0.3, 0.3], { frame: 1, batch: 2 });
    expect(expected.length).toBeGreaterThan(5);
    expect(rounded(rowsOf(found))).toEqual(rounded(expected));
  });

  it('takes 25 200 rows of 6 for one class at 640 × 640, which is no end-to-end model', async () => {
    const one = decoderManifest({ decoder: { kind: 'yolov5', output: 'o' }, labels: { 0: 'cat' }, width: 640, height: 640 });
    expect(await misfit(one, { o: empty([1, 25200, 6]) })).toBeNull();
    expect(await misfit(one, { o: empty([1, 300, 6]) })).toBe('model m: output "o" is [1, 300, 6], decoder yolov5 expects [1, 25200, 6]');
    expect(await misfit(one, { o: empty([1, 6, 8400]) })).toBe('model m: output "o" is [1, 6, 8400], decoder yolov5 expects [1, 25200, 6]');
    const v7 = decoderManifest({ decoder: { kind: 'yolov5', output: 'o', strides: [8, 16, 32, 64] }, labels: { 0: 'cat' }, width: 1280, height: 1280 });
    expect(await misfit(v7, { o: empty([1, 102000, 6]) })).toBeNull();
  });
});
