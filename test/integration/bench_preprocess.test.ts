import { expect, test } from 'vitest';
import { runNode } from '../helpers/process.js';

interface Result {
  us_per_frame: { ours: number; videoconvertscale: number; ours_from_memory: number };
  speedup: number;
  bytes_per_second: number;
}

test('the preprocessing benchmark measures both sizes', async () => {
  const bench = runNode(['dist/bench/preprocess.js', '--quick', '--json']);
  expect(await bench.exitCode(), bench.stderr).toBe(0);
  expect(bench.stdout.trim()).not.toContain('\n');
  const report = JSON.parse(bench.stdout) as Result & { name: string; memcpy_bytes_per_second: number; size: string; sizes: Record<string, Result> };
  expect(report.name).toBe('preprocess');
  expect(Object.keys(report.sizes)).toEqual(['640x640', '300x300']);
  for (const { us_per_frame: us, speedup, bytes_per_second: bytes } of [report, ...Object.values(report.sizes)]) {
    for (const figure of [us.ours, us.videoconvertscale, us.ours_from_memory, speedup, bytes]) {
      expect(figure).toBeGreaterThan(0);
      expect(figure).toSatisfy(Number.isFinite);
    }
    // Rounded figures on both sides.
    expect(speedup / (us.videoconvertscale / us.ours)).toBeCloseTo(1, 1);
  }
  // The worse one is shown first.
  expect(report.speedup).toBe(Math.min(...Object.values(report.sizes).map(({ speedup }) => speedup)));
  expect(report.memcpy_bytes_per_second).toBeGreaterThan(report.bytes_per_second / 10);
});
