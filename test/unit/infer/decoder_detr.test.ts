import { describe, expect, it } from 'vitest';
import { nonMaximumSuppression } from '../../../services/infer/nms.js';
import { decode, decoderManifest, empty, floats, misfit, randomNumbers, rounded, rowsOf } from '../../helpers/decoding.js';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

describe('decoder rtdetr-raw', () => {
  const manifest = decoderManifest({ decoder: { kind: 'rtdetr-raw' }, labels: { 0: 'a', 1: 'b', 2: 'c' }, width: 100, height: 50 });

  it('takes the best of queries × classes, class = i % classes, query = ⌊i / classes⌋', async () => {
    const [queries, classes, top] = [20, 3, 7];
    const random = randomNumbers(9);
    const logits = Array.from({ length: 2 * queries * classes }, () => Math.fround(random() * 8 - 4));
    const boxes = Array.from({ length: 2 * queries * 4 }, () => Math.fround(random()));
    const outputs = { logits: floats([2, queries, classes], logits), pred_boxes: floats([2, queries, 4], boxes) };
    const found = await decode(manifest, outputs, [0.01, 0.01, 0.01], { frame: 1, batch: 2 });
    const kept = nonMaximumSuppression(found.boxes, { kind: 'none', iou: 1 }, top);
    const rows = rowsOf(found);

    const flat = logits.slice(queries * classes).map((logit, i) => ({ score: sigmoid(logit), i }));
    const expected = flat.sort((a, b) => b.score - a.score).slice(0, top).map(({ score, i }) => {
      const [x = 0, y = 0, w = 0, h = 0] = boxes.slice((queries + Math.floor(i / classes)) * 4);
      return [(x - w / 2) * 100, (y - h / 2) * 50, (x + w / 2) * 100, (y + h / 2) * 50, score, i % classes];
    });
    expect(rounded(kept.map((index) => rows[index] ?? []))).toEqual(rounded(expected));
  });

  it('compares the score itself with the threshold', async () => {
    const at = (logit: number) => ({ logits: floats([1, 1, 3], [logit, -9, -9]), pred_boxes: floats([1, 1, 4], [0.5, 0.5, 0.2, 0.2]) });
    // sigmoid(0) is 0.5 exactly.
    expect(rowsOf(await decode(manifest, at(0), [0.5, 1, 1]))).toEqual([]);
    expect(rowsOf(await decode(manifest, at(1e-6), [0.5, 1, 1]))).toHaveLength(1);
    expect(rowsOf(await decode(manifest, at(-40), [0, 1, 1]))).toHaveLength(1);
    expect(rowsOf(await decode(manifest, at(40), [Infinity, 1, 1]))).toEqual([]);
  });

  it('wants as many queries of boxes as of logits', async () => {
    expect(await misfit(manifest, { logits: empty([1, 300, 3]), pred_boxes: empty([1, 100, 4]) })).toBe(
      'model m: output "pred_boxes" is [1, 100, 4], decoder rtdetr-raw expects [1, Q, 4], Q = 300',
    );
  });
});

describe('decoder rfdetr', () => {
  // COCO's ids are sparse: 1 person, 44 bottle, 90 toothbrush; 12 and 91 are nothing.
  const manifest = decoderManifest({
    decoder: { kind: 'rfdetr', classes: 91 },
    labels: { 1: 'person', 44: 'bottle', 90: 'toothbrush' },
    width: 10,
    height: 10,
  });

  it('takes the channel for the id, and channels without a name for nothing', async () => {
    const logits = new Float32Array(2 * 91).fill(-10);
    logits[44] = 2;
    logits[12] = 9;
    logits[91 + 1] = 1;
    logits[91 + 90] = 0.5;
    const outputs = { labels: floats([1, 2, 91], logits), dets: floats([1, 2, 4], [0.5, 0.5, 0.4, 0.2, 0.2, 0.3, 0.2, 0.2]) };
    const thresholds = Array<number>(91).fill(Infinity);
    for (const channel of manifest.labels.keys()) thresholds[channel] = 0.5;
    const found = await decode(manifest, outputs, thresholds);
    expect(rounded(rowsOf(found))).toEqual(
      rounded([
        [3, 4, 7, 6, sigmoid(2), 44],
        [1, 2, 3, 4, sigmoid(1), 1],
        [1, 2, 3, 4, sigmoid(0.5), 90],
      ]),
    );
    expect([...found.boxes.classes.subarray(0, 3)].map((channel) => manifest.labels.get(channel))).toEqual(['bottle', 'person', 'toothbrush']);
  });

  it('refuses labels that were numbered without holes', async () => {
    const dense = decoderManifest({ decoder: { kind: 'rfdetr' }, labels: Object.fromEntries(Array.from({ length: 80 }, (_, i) => [i, `c${i}`])) });
    expect(await misfit(dense, { labels: empty([1, 300, 91]), dets: empty([1, 300, 4]) })).toBe(
      'model m: output "labels" is [1, 300, 91], decoder rfdetr expects [1, Q, 80], Q = 300',
    );
  });
});
