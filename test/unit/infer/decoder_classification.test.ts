import { describe, expect, it } from 'vitest';
import { toFrameFindings } from '../../../services/infer/frame_findings.js';
import { decode, decoderManifest, empty, floats, misfit } from '../../helpers/decoding.js';

const labels = { 0: 'cat', 1: 'dog', 2: 'owl' };
const geometry = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };

/** Label and score, best first, as a frame's result has them. */
async function classesOf(activation: string, numbers: number[], thresholds: number[], topK = 100, frame = 0): Promise<[string, number][]> {
  const manifest = decoderManifest({ task: 'classify', decoder: { kind: 'classification', output: 'o', activation }, labels, more: { top_k: topK } });
  const batch = numbers.length / 3;
  const found = await decode(manifest, { o: floats([batch, 3], numbers) }, thresholds, { batch, frame });
  const { findings } = toFrameFindings(found, manifest, { geometry, width: 8, height: 8, region: null, thresholds: Float64Array.from(thresholds) });
  return findings.classes.map(({ classIndex, score }) => [manifest.labels.get(classIndex) ?? '', Math.round(score * 1e4) / 1e4]);
}

describe('decoder classification', () => {
  it('takes scores as they are when the graph has made them', async () => {
    expect(await classesOf('none', [0.2, 0.5, 0.3], [0.1, 0.5, 0.1])).toEqual([
      ['owl', 0.3],
      ['cat', 0.2],
    ]);
  });

  it('makes them by softmax, also of logits whose exponential is infinite', async () => {
    // e^0 : e^ln2 : e^ln5 = 1 : 2 : 5.
    const logits = [0, Math.log(2), Math.log(5)];
    const expected = [
      ['owl', 0.625],
      ['dog', 0.25],
      ['cat', 0.125],
    ];
    expect(await classesOf('softmax', logits, [0, 0, 0])).toEqual(expected);
    expect(await classesOf('softmax', logits.map((logit) => logit + 1000), [0, 0, 0])).toEqual(expected);
    expect(await classesOf('softmax', logits, [0, 0, 0], 2)).toEqual(expected.slice(0, 2));
  });

  it('makes them by sigmoid, each for itself, and finds the second picture', async () => {
    expect(await classesOf('sigmoid', [9, 9, 9, 0, Math.log(3), -9], [0.4, 0.4, 0.4], 100, 1)).toEqual([
      ['dog', 0.75],
      ['cat', 0.5],
    ]);
  });

  it('leaves out classes that nobody wants', async () => {
    expect(await classesOf('none', [0.2, 0.5, 0.3], [0.1, Infinity, 0.1], 1)).toEqual([['owl', 0.3]]);
  });

  it('refuses another number of classes', async () => {
    const manifest = decoderManifest({ task: 'classify', decoder: { kind: 'classification', output: 'o', activation: 'none' }, labels });
    expect(await misfit(manifest, { o: empty([2, 1000]) }, 2)).toBe('model m: output "o" is [2, 1000], decoder classification expects [2, 3]');
  });
});
