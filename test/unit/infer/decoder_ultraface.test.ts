import { describe, expect, it } from 'vitest';
import { decode, decoderManifest, empty, floats, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

const manifest = decoderManifest({ decoder: { kind: 'ultraface' }, labels: { 1: 'face' }, width: 320, height: 240 });

describe('decoder ultraface', () => {
  it('takes channel 1 for the face, never the background', async () => {
    const outputs = {
      boxes: floats([2, 2, 4], [0.1, 0.2, 0.3, 0.4, 0, 0, 1, 1, 0.5, 0.5, 1, 1, 0.25, 0.25, 0.5, 0.5]),
      scores: floats([2, 2, 2], [0.1, 0.9, 0.95, 0.05, 0.3, 0.7, 0.4, 0.6]),
    };
    expect(rounded(rowsOf(await decode(manifest, outputs, [Infinity, 0.7], { batch: 2 })))).toEqual([[32, 48, 96, 96, 0.9, 1]]);
    expect(rounded(rowsOf(await decode(manifest, outputs, [Infinity, 0.65], { batch: 2, frame: 1 })))).toEqual([[160, 120, 320, 240, 0.7, 1]]);
  });

  it('wants two channels', async () => {
    expect(await misfit(manifest, { boxes: empty([1, 4420, 4]), scores: empty([1, 4420, 2]) })).toBeNull();
    expect(await misfit(manifest, { boxes: empty([1, 4420, 4]), scores: empty([1, 4420, 21]) })).toBe(
      'model m: output "scores" is [1, 4420, 21], decoder ultraface expects [1, A, 2], A = 4420',
    );
  });
});
