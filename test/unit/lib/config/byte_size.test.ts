import { expect, test } from 'vitest';
import { formatByteSize, parseByteSize } from '../../../../lib/config/byte_size.js';

test.each([
  ['0B', 0],
  ['17B', 17],
  ['1KiB', 1_024],
  ['1.5MiB', 1_572_864],
  ['1GiB', 1_073_741_824],
  ['2 TiB', 2_199_023_255_552],
])('%s is %d bytes', (text, bytes) => {
  expect(parseByteSize(text)).toBe(bytes);
});

test.each(['', '5', 'MiB', '-1MiB', '1MB', '1mib', '1e3B', '0.3B', '99999999TiB'])('"%s" is no size', (text) => {
  expect(parseByteSize(text)).toBeNull();
});

test.each([
  [0, '0B'],
  [1_023, '1023B'],
  [1_024, '1KiB'],
  [1_536, '1536B'],
  [2 ** 30, '1GiB'],
  [2 ** 40, '1TiB'],
])('%d bytes are written %s, and read back the same', (bytes, text) => {
  expect(formatByteSize(bytes)).toBe(text);
  expect(parseByteSize(text)).toBe(bytes);
});
