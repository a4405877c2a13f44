import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const manifest = decoderManifest({ decoder: { kind: 'ssd-openvino', output: 'o' }, labels: { 1: 'person' }, width: 200, height: 100 });
const thresholds = [Infinity, 0.5];

describe('decoder ssd-openvino', () => {
  const rows = [
    ...[0, 1, 0.9, 0.1, 0.2, 0.5, 0.6],
    ...[1, 1, 0.8, 0, 0, 1, 1],
    ...[0, 1, 0.5, 0, 0, 1, 1],
    // The end; what follows is left from earlier pictures.
    ...[-1, 0, 0, 0, 0, 0, 0],
    ...[0, 1, 0.99, 0.3, 0.3, 0.4, 0.4],
  ];
  const outputs = { o: floats([1, 1, 5, 7], rows) };

  it('reads x before y, and stops at the end mark', async () => {
    expect(rounded(rowsOf(await decode(manifest, outputs, thresholds, { batch: 2 })))).toEqual([[20, 20, 100, 60, 0.9, 1]]);
    expect(rounded(rowsOf(await decode(manifest, outputs, thresholds, { batch: 2, frame: 1 })))).toEqual([[0, 0, 200, 100, 0.8, 1]]);
  });

  it('wants rows of 7 in four dimensions', async () => {
    expect(await misfit(manifest, { o: empty([1, 1, 200, 7]) }, 4)).toBeNull();
    expect(await misfit(manifest, { o: empty([1, 200, 7]) })).toBe('model m: output "o" is [1, 200, 7], decoder ssd-openvino expects [1, 1, K, 7]');
  });
});
