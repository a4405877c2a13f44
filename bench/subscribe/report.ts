import type { SubscribeFigures } from './measure.js';

/** For programs. */
export function subscribeResult(figures: SubscribeFigures): Record<string, unknown> {
  const { subscribers, recordsPerSecond, latencyMs, offeredPerSecond, missed, storedRecordsPerSecond } = figures;
  return {
    name: 'subscribe',
    subscribers,
    records_per_second: round(recordsPerSecond),
    latency_ms: { p50: round(latencyMs.p50), p99: round(latencyMs.p99) },
    offered_per_second: round(offeredPerSecond * subscribers),
    missed,
    stored_records_per_second: round(storedRecordsPerSecond),
  };
}

export function subscribeTable(figures: SubscribeFigures): string {
  const { subscribers, recordsPerSecond, latencyMs, offeredPerSecond, missed, storedRecordsPerSecond } = figures;
  return [
    `${subscribers} subscribers, ${offeredPerSecond.toFixed(0)} records/s for each`,
    `live      ${recordsPerSecond.toFixed(0)} records/s in all, ${missed} missed; from capture p50 ${latencyMs.p50.toFixed(1)} ms, p99 ${latencyMs.p99.toFixed(1)} ms`,
    `stored    ${storedRecordsPerSecond.toFixed(0)} records/s in all, from the beginning`,
  ].join('\n');
}

const round = (value: number): number => Math.round(value * 100) / 100;
