import { expect, test } from 'vitest';
import { runNode } from '../helpers/process.js';

interface Report {
  name: string;
  fps: { sink: number; bare_encoder: number };
  ratio: number;
  osd_us_per_frame: number;
  viewers_10_cpu_ratio: number;
  join_ms: { p50: number; p99: number };
  joins: number;
}

test('the benchmark of sink measures the real service against its encoder', { timeout: 180_000 }, async () => {
  const bench = runNode(['dist/bench/sink.js', '--quick', '--json']);
  expect(await bench.exitCode(), bench.stderr).toBe(0);
  expect(bench.stdout.trim()).not.toContain('\n');
  const report = JSON.parse(bench.stdout) as Report;
  expect(report).toMatchObject({ name: 'sink', joins: 4 });
  const { fps, join_ms: join } = report;
  for (const figure of [fps.sink, fps.bare_encoder, report.ratio, report.viewers_10_cpu_ratio, join.p50, join.p99]) {
    expect(figure).toBeGreaterThan(0);
    expect(figure).toSatisfy(Number.isFinite);
  }
  // A difference: on a busy machine it may be anything.
  expect(report.osd_us_per_frame).toSatisfy(Number.isFinite);
  expect(report.ratio).toBeCloseTo(fps.sink / fps.bare_encoder, 2);
  expect(join.p99).toBeGreaterThanOrEqual(join.p50);
});
