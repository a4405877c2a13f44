import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../../lib/config/duration.js';

/** Unix time in nanoseconds of "10m" (so long ago) or of a time such as 2025-03-01T12:00:00Z. */
export function startTime(text: string, nowMs: number = Date.now()): bigint {
  const agoMs = parseDuration(text);
  const unixMs = agoMs === null ? Date.parse(text) : nowMs - agoMs;
  if (Number.isFinite(unixMs) && unixMs > 0) return BigInt(Math.round(unixMs)) * 1_000_000n;
  throw new InvalidArgumentError('Give a duration such as 10m, or a time such as 2025-03-01T12:00:00Z.');
}
