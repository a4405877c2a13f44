import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, int32s, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const names = { count: 'num_dets', boxes: 'det_boxes', scores: 'det_scores', labels: 'det_classes' };
const options = { decoder: { kind: 'efficient-nms', ...names }, labels: { 0: 'cat', 1: 'dog' }, width: 200, height: 100 };
const outputs = {
  num_dets: int32s([2, 1], [1, 2]),
  det_boxes: floats([2, 2, 4], [1, 2, 3, 4, 9, 9, 9, 9, 5, 6, 7, 8, 0.1, 0.2, 0.3, 0.4]),
  det_scores: floats([2, 2], [0.9, 0.9, 0.25, 0.8]),
  det_classes: int32s([2, 2], [1, 1, 0, 1]),
};

describe('decoder efficient-nms', () => {
  it('reads as many boxes as the count says, in network pixels', async () => {
    const manifest = decoderManifest(options);
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.2, 0.2], { batch: 2 })))).toEqual([[1, 2, 3, 4, 0.9, 1]]);
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.25, 0.2], { batch: 2, frame: 1 })))).toEqual([[0.1, 0.2, 0.3, 0.4, 0.8, 1]]);
  });

  it('reads boxes from 0 to 1, y first, where the export has them so', async () => {
    const manifest = decoderManifest({ ...options, decoder: { ...options.decoder, box_order: 'yxyx', box_unit: 'unit' } });
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.25, 0.2], { batch: 2, frame: 1 })))).toEqual([[40, 10, 80, 30, 0.8, 1]]);
  });

  it('has the plugin’s own names unless told otherwise', async () => {
    const manifest = decoderManifest({ ...options, decoder: { kind: 'efficient-nms' } });
    expect(await misfit(manifest, outputs, 2)).toBe(
      'model m: decoder efficient-nms reads an output "num_detections" [2, 1]; the model has ' +
        'num_dets int32 [2, 1], det_boxes [2, 2, 4], det_scores [2, 2], det_classes int32 [2, 2]',
    );
    expect(await misfit(decoderManifest(options), { ...outputs, num_dets: empty([2], 'int32') }, 2)).toContain('expects [2, 1]');
  });
});
