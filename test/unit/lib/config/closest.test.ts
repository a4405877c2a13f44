import { expect, test } from 'vitest';
import { closest } from '../../../../lib/config/closest.js';

const KEYS = ['source', 'loop', 'pace', 'min_confidence', 'bitrate_kbps', 'no_frame_timeout'];

test.each([
  ['sorce', 'source'],
  ['Source', 'source'],
  ['looop', 'loop'],
  ['lopo', 'loop'],
  ['min-confidence', 'min_confidence'],
  ['minconfidence', 'min_confidence'],
  ['bitrate', 'bitrate_kbps'],
])('%s is meant as %s', (typed, key) => {
  expect(closest(typed, KEYS)).toBe(key);
});

test.each(['colour', 'x', 'sink', ''])('"%s" is like none of them', (typed) => {
  expect(closest(typed, KEYS)).toBeUndefined();
});
