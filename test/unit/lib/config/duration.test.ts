import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../../lib/config/duration.js';

test.each([
  ['250ms', 250],
  ['2s', 2_000],
  ['1.5m', 90_000],
  ['1h', 3_600_000],
  ['7d', 604_800_000],
  ['0s', 0],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', '5', 's', '-1s', '1 s', '1S', '1e3s', '1s2ms', '.5s', 'Infinitys'])('"%s" is no duration', (text) => {
  expect(parseDuration(text)).toBeNull();
});

test.each([
  [0, '0ms'],
  [250, '250ms'],
  [1_000, '1s'],
  [1_500, '1500ms'],
  [90_000, '90s'],
  [120_000, '2m'],
  [86_400_000, '1d'],
])('%d ms is written %s, and read back the same', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
  expect(parseDuration(text)).toBe(ms);
});
