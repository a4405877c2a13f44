import { expect, test } from 'vitest';
import { parseConfig } from '../../../../lib/config.js';
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

const records = (text: string) => parseConfig(`{sink: {records: {${text}}}, streams: {gate: {source: /clip.mp4}}}`, 'f').sink.records;

test('limits of stored records', () => {
  expect(records('')).toEqual({ maxAgeMs: 86_400_000, maxBytes: 2 ** 30 });
  expect(records('max_age: 0, max_bytes: 512MiB')).toEqual({ maxAgeMs: 0, maxBytes: 2 ** 29 });
  expect(records('max_bytes: 0').maxBytes).toBe(0);
});

test.each([
  ['max_bytes: 1GB', 'sink.records.max_bytes: must be a size with its unit (B, KiB, MiB, GiB, TiB), 0, or from 1MiB to 1024TiB, is "1GB"'],
  ['max_bytes: 1000', 'must be a size with its unit'],
  ['max_bytes: 1KiB', 'must be 0, or from 1MiB to 1024TiB, is "1KiB"'],
  ['max_age: 10ms', 'sink.records.max_age: must be 0, or 1s or longer'],
])('%s is refused', (text, message) => {
  expect(() => records(text)).toThrow(message);
});
