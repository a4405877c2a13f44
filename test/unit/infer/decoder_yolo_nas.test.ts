import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const manifest = decoderManifest({ decoder: { kind: 'yolo-nas', output: 'o' }, labels: { 0: 'cat', 1: 'dog' } });
const LIST = [
  ...[0, 1, 2, 3, 4, 0.9, 1],
  ...[0, 5, 6, 7, 8, 0.375, 0],
  ...[1, 9, 9, 10, 10, 0.8, 0],
  ...[0, 2, 2, 3, 3, 0.7, 0],
];

describe('decoder yolo-nas', () => {
  it('takes the rows of its picture out of the list of all', async () => {
    const outputs = { o: floats([4, 7], LIST) };
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.375, 0.375], { batch: 2 })))).toEqual([
      [1, 2, 3, 4, 0.9, 1],
      [2, 2, 3, 3, 0.7, 0],
    ]);
    expect(rounded(rowsOf(await decode(manifest, outputs, [0.4, 0.4], { batch: 2, frame: 1 })))).toEqual([[9, 9, 10, 10, 0.8, 0]]);
  });

  it('stops at a class below 0', async () => {
    const ended = [...LIST.slice(0, 7), ...[0, 0, 0, 0, 0, 0, -1], ...LIST.slice(7)];
    expect(rowsOf(await decode(manifest, { o: floats([5, 7], ended) }, [0.3, 0.3]))).toHaveLength(1);
  });

  it('takes an empty list, and no other shape', async () => {
    expect(rowsOf(await decode(manifest, { o: floats([0, 7], []) }, [0.3, 0.3]))).toEqual([]);
    expect(await misfit(manifest, { o: empty([1, 300, 7]) })).toBe('model m: output "o" is [1, 300, 7], decoder yolo-nas expects [K, 7]');
  });
});
