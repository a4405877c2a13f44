import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const manifest = decoderManifest({ decoder: { kind: 'yolo-e2e', output: 'o' }, labels: { 0: 'cat', 2: 'dog' }, more: { nms: undefined } });

describe('decoder yolo-e2e', () => {
  it('takes rows as they are: corners, score, class', async () => {
    const rows = [
      ...[1, 2, 3, 4, 0.9, 2],
      ...[5, 6, 7, 8, 0.5, 0],
      // No label, a class that the manifest does not know, and padding.
      ...[1, 1, 2, 2, 0.9, 1],
      ...[1, 1, 2, 2, 0.9, 7],
      ...[0, 0, 0, 0, 0, 0],
      // The second picture.
      ...[9, 9, 10, 10, 0.8, 0],
      ...Array<number>(24).fill(0),
    ];
    const outputs = { o: floats([2, 5, 6], rows) };
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.4, Infinity, 0.4], { batch: 2 })))).toEqual([
      [1, 2, 3, 4, 0.9, 2],
      [5, 6, 7, 8, 0.5, 0],
    ]);
    // A score that is its threshold does not pass.
    expect(rowsOf(await decode(manifest, outputs, [0.5, Infinity, 0.4], { batch: 2 }))).toHaveLength(1);
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.5, Infinity, 0.4], { batch: 2, frame: 1 })))).toEqual([[9, 9, 10, 10, 0.8, 0]]);
  });

  it('takes any number of rows of 6, and nothing else', async () => {
    expect(await misfit(manifest, { o: empty([1, 300, 6]) })).toBeNull();
    expect(await misfit(manifest, { o: empty([1, 300, 7]) })).toBe('model m: output "o" is [1, 300, 7], decoder yolo-e2e expects [1, K, 6], K = 300');
    expect(await misfit(manifest, { o: empty([1, 6, 8400]) })).toContain('decoder yolo-e2e expects [1, K, 6]');
  });

  it('needs no suppression', () => {
    expect(manifest.nms.kind).toBe('none');
  });
});
