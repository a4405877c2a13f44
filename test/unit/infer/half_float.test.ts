import { describe, expect, it } from 'vitest';
import { fromHalf, toHalf } from '../../../services/infer/half_float.js';

const half = (value: number): number => {
  const out = new Uint16Array(1);
  toHalf(Float32Array.of(value), out);
  return out[0] ?? -1;
};

describe('half floats', () => {
  it.each([
    [0, 0x0000],
    [1, 0x3c00],
    [-2, 0xc000],
    [0.5, 0x3800],
    [65504, 0x7bff],
    [65519.996, 0x7bff],
    [65520, 0x7c00],
    [Infinity, 0x7c00],
    [-Infinity, 0xfc00],
    [1 / 3, 0x3555],
    // The smallest normal, the largest and smallest subnormals, and half of the latter: tie to even.
    [2 ** -14, 0x0400],
    [2 ** -14 - 2 ** -24, 0x03ff],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.001, 0x0001],
    // Ties in the middle of the range: to even.
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
  ])('%d is %i', (value, bits) => {
    expect(half(value)).toBe(bits);
  });

  it('come back from every half, and go there again', () => {
    const all = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
    const floats = fromHalf(all);
    const again = new Uint16Array(all.length);
    toHalf(floats, again);
    for (const bits of all) {
      if ((bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0) expect(floats[bits]).toBeNaN();
      else if (again[bits] !== bits) expect([bits, again[bits]]).toEqual([bits, bits]);
    }
    expect([floats[0x3c00], floats[0xc000], floats[0x0001], floats[0x7bff]]).toEqual([1, -2, 2 ** -24, 65504]);
  });
});
