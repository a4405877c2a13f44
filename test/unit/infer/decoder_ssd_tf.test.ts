import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, int32s, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

// The zoo's classes begin at 1; 12 is a hole.
const options = { decoder: { kind: 'ssd-tf' }, labels: { 1: 'person', 13: 'stop sign' }, width: 200, height: 100 };
const manifest = decoderManifest(options);
const thresholds = Array.from({ length: 14 }, (_, channel) => (manifest.labels.has(channel) ? 0.4 : Infinity));

const outputs = {
  detection_boxes: floats([2, 3, 4], [0.1, 0.2, 0.5, 0.6, 0, 0, 1, 1, 0.5, 0.5, 1, 1, 0, 0.5, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
  detection_scores: floats([2, 3], [0.9, 0.8, 0.7, 0.6, 0.9, 0.9]),
  detection_classes: floats([2, 3], [13, 12, 1, 1, 1, 1]),
  num_detections: floats([2], [2, 1]),
};

describe('decoder ssd-tf', () => {
  it('reads y1, x1, y2, x2, classes as floats, and no more than the count', async () => {
    expect(rounded(rowsOf(await decode(manifest, outputs, thresholds, { batch: 2 })))).toEqual([[40, 10, 120, 50, 0.9, 13]]);
    expect(rounded(rowsOf(await decode(manifest, outputs, thresholds, { batch: 2, frame: 1 })))).toEqual([[100, 0, 200, 100, 0.6, 1]]);
  });

  it('reads x1, y1, x2, y2 and integers where a model has them', async () => {
    const other = decoderManifest({ ...options, decoder: { kind: 'ssd-tf', box_order: 'xyxy' } });
    const integers = { ...outputs, detection_classes: int32s([2, 3], [13, 12, 1, 1, 1, 1]), num_detections: int32s([2], [3, 1]) };
    expect(rounded(rowsOf(await decode(other, integers, thresholds, { batch: 2 })))).toEqual([
      [20, 20, 100, 60, 0.9, 13],
      [100, 50, 200, 100, 0.7, 1],
    ]);
  });

  it('refuses a count that is not one a picture', async () => {
    expect(await misfit(manifest, { ...outputs, num_detections: empty([2, 1]) }, 2)).toBe(
      'model m: output "num_detections" is [2, 1], decoder ssd-tf expects [2], K = 3',
    );
  });
});
