import { expect, test } from 'vitest';
import { progressLine } from '../../../../cli/process/progress_line.js';

test('a bar with its part, counts, rate and the time that is left', () => {
  const line = progressLine({ frames: 740, part: 0.25, fps: 61.04, elapsedMs: 12_000 });
  expect(line).toBe('[######------------------]  25 %  740 frames  61.0 fps  0:36 left');
  expect(progressLine({ frames: 9, part: 0.001, fps: 3, elapsedMs: 20_000 })).toMatch(/ {2}0 % .* 5:33:00 left$/);
});

test('no estimate while it would jump about, and none without a length', () => {
  expect(progressLine({ frames: 3, part: 0.01, fps: 3, elapsedMs: 500 })).not.toContain('left');
  expect(progressLine({ frames: 3, part: null, fps: 3, elapsedMs: 61_000 })).toBe('3 frames  3.0 fps  1:01');
});

test('a file that is longer than it says is not done more than whole', () => {
  expect(progressLine({ frames: 3, part: 1.2, fps: 3, elapsedMs: 5_000 })).toMatch(/^\[#{24}\] 100 % .* 0:00 left$/);
});
