import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, int64s, misfit, randomNumbers } from '../../helpers/decoding.js';

const labels = { 1: 'road', 2: 'sky' };
const manifestOf = (layout: string) =>
  decoderManifest({ task: 'segment', decoder: { kind: 'segmentation', output: 'o', layout, classes: 4 }, labels });
const thresholds = [0, 0, 0, 0];

describe('decoder segmentation', () => {
  it('takes the best class of every pixel, whatever the layout', async () => {
    const [classes, height, width] = [4, 3, 5];
    const random = randomNumbers(4);
    const score = Array.from({ length: 2 }, () => Array.from({ length: classes }, () => Array.from({ length: height * width }, random)));
    const expected = Array.from({ length: height * width }, (_, pixel) => {
      const column = (score[1] ?? []).map((plane) => plane[pixel] ?? 0);
      return column.indexOf(Math.max(...column));
    });
    const nchw = { o: floats([2, classes, height, width], score.flat(2)) };
    const channelsLast = score.flatMap((planes) => Array.from({ length: height * width }, (_, pixel) => planes.map((plane) => plane[pixel] ?? 0)));
    const nhwc = { o: floats([2, height, width, classes], channelsLast.flat()) };
    const map = { o: int64s([2, height, width], [...Array<number>(height * width).fill(0), ...expected]) };
    for (const [layout, outputs] of Object.entries({ nchw, nhwc, map })) {
      const found = await decode(manifestOf(layout), outputs, thresholds, { frame: 1, batch: 2 });
      expect([layout, found.map?.width, found.map?.height, [...(found.map?.classes ?? [])]]).toEqual([layout, width, height, expected]);
    }
  });

  it('takes the first of equal classes', async () => {
    for (const [layout, dims] of [['nchw', [1, 4, 1, 1]], ['nhwc', [1, 1, 1, 4]]] as const) {
      const found = await decode(manifestOf(layout), { o: floats([...dims], [-1, 3, 3, 2]) }, thresholds);
      expect([...(found.map?.classes ?? [])]).toEqual([1]);
    }
  });

  it('never takes what is not a number', async () => {
    for (const [layout, dims] of [['nchw', [1, 4, 1, 1]], ['nhwc', [1, 1, 1, 4]]] as const) {
      const found = await decode(manifestOf(layout), { o: floats([...dims], [NaN, -3, NaN, -4]) }, thresholds);
      expect([...(found.map?.classes ?? [])]).toEqual([1]);
    }
  });

  it('tells layouts apart by the number of classes', async () => {
    expect(await misfit(manifestOf('nhwc'), { o: empty([1, 4, 257, 257]) })).toBe(
      'model m: output "o" is [1, 4, 257, 257], decoder segmentation expects [1, h, w, 4], h = 4, w = 257',
    );
    expect(await misfit(manifestOf('map'), { o: empty([1, 1, 257, 257], 'int64') })).toContain('expects [1, h, w]');
  });
});
