import { describe, expect, it } from 'vitest';
import { bytesOfTexts, classify } from '../../../services/infer/kserve_classification.js';

const labels = new Map([
  [0, 'cat'],
  [2, 'dog'],
]);
const output = (dims: number[], values: number[]) => ({ name: 'y', type: 'float32' as const, dims, bytes: new Uint8Array(Float32Array.from(values).buffer) });

describe('classify', () => {
  it('says the best of every picture, with labels where there are some', () => {
    expect(classify(output([2, 3], [0.25, 0.5, 0.125, 1, -1, 8]), 2, labels, true)).toEqual({
      dims: [2, 2],
      texts: ['0.500000:1', '0.250000:0:cat', '8.000000:2:dog', '1.000000:0:cat'],
    });
  });

  it('takes a whole output where there is no batch, and no more than there is', () => {
    const { dims, texts } = classify(output([1, 3], [1, 1, 2]), 9, labels, false);
    expect(dims).toEqual([3]);
    expect(texts).toEqual(['2.000000:2:dog', '1.000000:0:cat', '1.000000:1']);
  });

  it('reads halves and 64-bit integers', () => {
    const halves = { name: 'y', type: 'float16' as const, dims: [1, 2], bytes: Uint8Array.of(0x00, 0x38, 0x00, 0x3c) };
    expect(classify(halves, 1, labels, true).texts).toEqual(['1.000000:1']);
    const integers = { name: 'y', type: 'int64' as const, dims: [1, 2], bytes: new Uint8Array(BigInt64Array.of(7n, -7n).buffer) };
    expect(classify(integers, 1, labels, true).texts).toEqual(['7.000000:0:cat']);
  });
});

describe('bytesOfTexts', () => {
  it('puts four bytes of length before each', () => {
    expect(bytesOfTexts(['ab', 'é']).toString('hex')).toBe('020000006162' + '02000000c3a9');
  });
});
