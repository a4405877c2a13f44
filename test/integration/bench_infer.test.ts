import { expect, test } from 'vitest';
import { runNode } from '../helpers/process.js';

const MODEL = 'ssdlite-mobilenet-v2';

interface Run {
  model: string;
  batch: number;
  threads: number;
  service_fps: number;
  bare_engine_fps: number;
  ratio: number;
  mean_batch: number;
  batch_ms: Record<string, number>;
}

test('the inference benchmark measures the real service against its engine', async () => {
  const bench = runNode(['dist/bench/infer.js', '--quick', '--json', '--model', MODEL, '--batch', '2']);
  expect(await bench.exitCode(), bench.stderr).toBe(0);
  expect(bench.stdout.trim()).not.toContain('\n');
  const report = JSON.parse(bench.stdout) as Run & { name: string; runs: Run[] };
  expect(report).toMatchObject({ name: 'infer', model: MODEL, batch: 2 });
  expect(report.runs).toHaveLength(1);
  for (const figure of [report.threads, report.service_fps, report.bare_engine_fps, report.ratio, ...Object.values(report.batch_ms)]) {
    expect(figure).toBeGreaterThan(0);
    expect(figure).toSatisfy(Number.isFinite);
  }
  expect(report.ratio).toBeCloseTo(report.service_fps / report.bare_engine_fps, 2);
  expect(report.mean_batch).toBeGreaterThanOrEqual(1);
});
