import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, floats, randomNumbers, rounded, rowsOf } from '../../helpers/decoding.js';

describe('decoder ssd', () => {
  it('finds what plain loops find in the second picture, y before x', async () => {
    const manifest = decoderManifest({
      decoder: { kind: 'ssd', boxes: 'b', scores: 's', box_order: 'yxyx' },
      labels: { 0: 'cat', 2: 'dog' },
      width: 200,
      height: 100,
    });
    const [anchors, classes] = [9, 3];
    const random = randomNumbers(2);
    const boxes = Array.from({ length: 2 * anchors * 4 }, () => Math.fround(random()));
    const scores = Array.from({ length: 2 * anchors * classes }, () => Math.fround(random()));
    const expected: number[][] = [];
    for (let anchor = anchors; anchor < 2 * anchors; anchor++) {
      const [y1 = 0, x1 = 0, y2 = 0, x2 = 0] = boxes.slice(anchor * 4);
      for (const channel of [0, 2]) {
        const score = scores[anchor * classes + channel] ?? 0;
        if (score > 0.4) expected.push([x1 * 200, y1 * 100, x2 * 200, y2 * 100, score, channel]);
      }
    }
    const outputs = { b: floats([2, anchors, 4], boxes), s: floats([2, anchors, classes], scores) };
    const found = await decode(manifest, outputs, [0.4, Infinity, 0.4], { frame: 1, batch: 2 });
    expect(expected.length).toBeGreaterThan(5);
    expect(rounded(rowsOf(found))).toEqual(rounded(expected));
  });
});
