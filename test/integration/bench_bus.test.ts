import { expect, test } from 'vitest';
import { runNode } from '../helpers/process.js';

const PERCENTILES = ['p50', 'p99'];
const SIZES = ['720p', '1080p', '4k'];

/** Path of every number in an object. */
function numbers(value: object, path: string[] = []): [string, unknown][] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    typeof inner === 'object' && inner !== null
      ? numbers(inner, [...path, key])
      : [[[...path, key].join('.'), inner] as [string, unknown]],
  );
}

test('the bus benchmark measures everything that it promises', async () => {
  const bench = runNode(['dist/bench/bus.js', '--quick', '--json']);
  expect(await bench.exitCode(), bench.stderr).toBe(0);
  const { name, ...figures } = JSON.parse(bench.stdout) as Record<string, object>;
  expect(name).toBe('bus');
  const found = new Map(numbers(figures));
  for (const key of [
    ...SIZES.map((size) => `cpu_us_per_frame.${size}`),
    'flatness_720p_to_4k',
    'shmsink_cpu_us_per_frame_1080p',
    'ratio_vs_shmsink',
    'nats_payload_cpu_us_per_frame_1080p',
    ...PERCENTILES.map((p) => `publish_to_view_us.${p}`),
    ...PERCENTILES.map((p) => `nats_request_us.${p}`),
    'streams_64.fps_total',
    'streams_64.cpu_seconds_per_1000_frames',
    ...SIZES.map((size) => `through_nats_cpu_us_per_frame.${size}`),
  ]) {
    expect(found.get(key), key).toBeGreaterThan(0);
  }
  for (const [key, figure] of found) {
    expect(figure, key).toSatisfy(Number.isFinite);
  }
  // Progress goes to standard error.
  expect(bench.stdout.trim()).not.toContain('\n');
});
