import { expect, test } from 'vitest';
import { argmax } from '../../native/index.js';

const codeOf = (attempt: () => unknown): unknown => {
  try {
    attempt();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return null;
};

test('the best channel of each cell, in both layouts and widths', () => {
  // Three channels of four cells; the second cell has two equal ones, the last NaN.
  const planes = Float32Array.of(...[5, 1, 0, NaN], ...[2, 7, 0, 1], ...[9, 7, -1, 0]);
  const cells = Float32Array.of(...[5, 2, 9], ...[1, 7, 7], ...[0, 0, -1], ...[NaN, 1, 0]);
  for (const Numbers of [Uint8Array, Uint16Array]) {
    for (const [layout, scores] of [['nchw', planes], ['nhwc', cells]] as const) {
      const into = new Numbers(5).fill(99);
      argmax(scores, 3, 4, layout, into);
      expect([...into], layout).toEqual([2, 1, 0, 1, 99]);
    }
  }
  argmax(new Float32Array(0), 3, 0, 'nchw', new Uint8Array(0));
});

test('views of larger buffers', () => {
  const scores = Float32Array.of(9, 9, 0, 1, 3, 2, 9).subarray(2, 6);
  const all = new Uint8Array(4).fill(7);
  argmax(scores, 2, 2, 'nhwc', all.subarray(1, 3));
  expect([...all]).toEqual([7, 1, 0, 7]);
});

test('wrong sizes and types are refused', () => {
  const scores = new Float32Array(12);
  const into = new Uint8Array(4);
  const wrong: (() => unknown)[] = [
    () => argmax(scores, 3, 5, 'nchw', new Uint8Array(5)),
    () => argmax(scores, 4, 3, 'nchw', new Uint8Array(2)),
    () => argmax(scores, 0, 4, 'nchw', into),
    () => argmax(scores, 3, -1, 'nchw', into),
    () => argmax(scores, 3, 4, 'hwc' as never, into),
    () => argmax([1, 2, 3] as never, 3, 1, 'nchw', into),
    () => argmax(scores, 3, 4, 'nchw', new Int8Array(4) as never),
    () => argmax(new Float64Array(12) as never, 3, 4, 'nchw', into),
    () => argmax(scores, 2 ** 31, 2 ** 31, 'nchw', into),
    () => argmax(new Float32Array(257), 257, 1, 'nchw', into),
    () => argmax(new Float32Array(65_537), 65_537, 1, 'nhwc', new Uint16Array(1)),
  ];
  for (const attempt of wrong) expect(codeOf(attempt), attempt.toString()).toBe('BAD_ARGUMENT');
  argmax(new Float32Array(256), 256, 1, 'nchw', into);
});
