import { expect, test } from 'vitest';
import { runNode } from '../helpers/process.js';

test('the benchmark of subscribers gets every record of the real sink, live and stored', async () => {
  const bench = runNode(['dist/bench/subscribe.js', '--quick', '--json']);
  expect(await bench.exitCode(), bench.stderr).toBe(0);
  expect(bench.stdout.trim()).not.toContain('\n');
  const report = JSON.parse(bench.stdout) as Record<string, number> & { latency_ms: { p50: number; p99: number } };
  expect(report).toMatchObject({ name: 'subscribe', subscribers: 10, missed: 0 });
  expect(report['records_per_second']).toBeGreaterThan(100);
  expect(report['stored_records_per_second']).toBeGreaterThan(100);
  expect(report.latency_ms.p50).toBeGreaterThan(0);
  expect(report.latency_ms.p99).toBeGreaterThanOrEqual(report.latency_ms.p50);
});
