import { expect, test } from 'vitest';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { LatencyTable } from '../../../../cli/watch/latency_table.js';

const record = (engineMs: number, captureMs?: number): DetectionRecord =>
  DetectionRecord.fromPartial({
    latencyNs: BigInt(engineMs + 2) * 1_000_000n,
    recordedUnixNs: 1_000_000_000n,
    stages: {
      engineNs: BigInt(engineMs) * 1_000_000n,
      trackingNs: 2_000_000n,
      ...(captureMs === undefined ? {} : { captureNs: BigInt(captureMs) * 1_000_000n }),
    },
  });

/** Name, p50, p99 and number of frames. */
const rows = (table: LatencyTable): string[][] => table.text().split('\n').slice(1).map((line) => line.trim().split(/ {2,}/));

test('a line for each stage that frames came by, of the last ten seconds', () => {
  const clock = { nowMs: 0 };
  const table = new LatencyTable(true, () => clock.nowMs, () => 1_003);
  expect(table.text()).toBe('no frame in the last 10 s');
  table.add(record(9_000));
  clock.nowMs = 10_001;
  for (let ms = 1; ms <= 100; ms++) table.add(record(ms, ms === 50 ? 30 : undefined));
  expect(rows(table)).toEqual([
    ['capture', '30.0', '30.0', '1'],
    ['engine', '51.0', '100.0', '100'],
    ['tracking', '2.0', '2.0', '100'],
    ['in all', '54.0', '102.0', '100'],
    ['to here', '3.0', '3.0', '100'],
  ]);
});

test('what was stored meanwhile took no time to get here', () => {
  const table = new LatencyTable(false, () => 0, () => 900_000_000);
  table.add(record(5));
  expect(rows(table).map(([name]) => name)).toEqual(['engine', 'tracking', 'in all']);
});
