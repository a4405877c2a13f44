import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, int32s, int64s, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const manifest = decoderManifest({
  decoder: { kind: 'rtdetr' },
  labels: { 0: 'cat', 3: 'dog' },
  more: { extra_inputs: [{ name: 'orig_target_sizes', dtype: 'int64', value: 'width_height' }] },
});

describe('decoder rtdetr', () => {
  it('reads labels of 64 and 32 bits, boxes in network pixels and scores', async () => {
    const boxes = floats([2, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    const scores = floats([2, 2], [0.9, 0.3, 0.6, 0.7]);
    const labels = int64s([2, 2], [3, 3, 0, 2]);
    const thresholds = [0.5, Infinity, Infinity, 0.5];
    expect(rounded(rowsOf(await decode(manifest, { boxes, scores, labels }, thresholds, { batch: 2 })))).toEqual([[1, 2, 3, 4, 0.9, 3]]);
    const narrow = int32s([2, 2], [3, 3, 0, 2]);
    expect(rounded(rowsOf(await decode(manifest, { boxes, scores, labels: narrow }, thresholds, { batch: 2, frame: 1 })))).toEqual([
      [9, 10, 11, 12, 0.6, 0],
    ]);
  });

  it('gives the graph the network’s size as width, height', () => {
    expect(manifest.extraInputs).toEqual([{ name: 'orig_target_sizes', dtype: 'int64', row: [32, 16] }]);
    expect(manifest.nms.kind).toBe('none');
  });

  it('refuses what does not go together', async () => {
    const outputs = { labels: empty([1, 300], 'int64'), boxes: empty([1, 300, 4]), scores: empty([1, 300]) };
    expect(await misfit(manifest, outputs)).toBeNull();
    expect(await misfit(manifest, { ...outputs, scores: empty([1, 299]) })).toBe(
      'model m: output "scores" is [1, 299], decoder rtdetr expects [1, Q], Q = 300',
    );
    expect(await misfit(manifest, { logits: empty([1, 300, 80]), pred_boxes: empty([1, 300, 4]) })).toBe(
      'model m: decoder rtdetr reads an output "labels" [1, Q]; the model has logits [1, 300, 80], pred_boxes [1, 300, 4]',
    );
  });
});
