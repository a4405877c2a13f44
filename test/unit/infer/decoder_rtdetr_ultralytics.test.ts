import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const options = { decoder: { kind: 'rtdetr-ultralytics', output: 'o' }, labels: { 0: 'cat', 1: 'dog' }, width: 100, height: 50 };

describe('decoder rtdetr-ultralytics', () => {
  const rows = [
    ...[0.5, 0.5, 0.2, 0.4, 0.6, 0.7],
    ...[0.1, 0.1, 0.1, 0.1, 0.2, 0.3],
    ...[0.5, 0.5, 1, 1, 0.9, 0.1],
    ...[0.5, 0.5, 1, 1, 0.1, 0.1],
  ];
  const outputs = { o: floats([2, 2, 6], rows) };

  it('reads cx, cy, w, h from 0 to 1 and the best class', async () => {
    const manifest = decoderManifest(options);
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.5, 0.5], { batch: 2 })))).toEqual([[40, 15, 60, 35, 0.7, 1]]);
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.5, 0.5], { batch: 2, frame: 1 })))).toEqual([[0, 0, 100, 50, 0.9, 0]]);
  });

  it('reports every class when told to', async () => {
    const manifest = decoderManifest({ ...options, decoder: { ...options.decoder, multi_label: true } });
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.5, 0.5], { batch: 2 })))).toEqual([
      [40, 15, 60, 35, 0.6, 0],
      [40, 15, 60, 35, 0.7, 1],
    ]);
  });

  it('is no end-to-end YOLO, although two classes make rows of 6, too', async () => {
    expect(await misfit(decoderManifest(options), { o: empty([1, 300, 84]) })).toBe(
      'model m: output "o" is [1, 300, 84], decoder rtdetr-ultralytics expects [1, Q, 6], Q = 300',
    );
  });
});
