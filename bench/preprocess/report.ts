import { table } from '../../cli/status/table.js';
import type { PreprocessFigures, PreprocessMeasurement } from './measure.js';

/** Ours is so many times as fast as videoconvertscale. */
export const SPEEDUP_BUDGET = 3;

const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

/** For programs: the size at which ours is the least ahead, and all of them under `sizes`. */
export function preprocessResult({ sizes, memcpyBytesPerSecond }: PreprocessMeasurement): object {
  const [worst] = sizes.toSorted((a, b) => a.speedup - b.speedup);
  if (worst === undefined) throw new Error('nothing was measured');
  return {
    name: 'preprocess',
    ...sizeResult(worst),
    memcpy_bytes_per_second: Math.round(memcpyBytesPerSecond),
    size: worst.size.name,
    sizes: Object.fromEntries(sizes.map((figures) => [figures.size.name, sizeResult(figures)])),
  };
}

function sizeResult({ oursUs, fromMemoryUs, gstUs, gstFormat, speedup, bytesPerSecond }: PreprocessFigures): object {
  return {
    us_per_frame: { ours: round(oursUs, 1), videoconvertscale: round(gstUs, 1), ours_from_memory: round(fromMemoryUs, 1) },
    speedup: round(speedup, 2),
    bytes_per_second: Math.round(bytesPerSecond),
    videoconvertscale_format: gstFormat,
  };
}

/** For people, with the budget beside it. */
export function preprocessTable({ sizes, memcpyBytesPerSecond }: PreprocessMeasurement): string {
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB/s`;
  const head = ['1080p NV12 to', 'ours', 'videoconvertscale', 'speedup', 'budget', '', 'ours from memory', 'goes through'];
  const rows = sizes.map(({ size, oursUs, fromMemoryUs, gstUs, gstFormat, speedup, bytesPerSecond }) => [
    size.name,
    `${oursUs.toFixed(0)} µs`,
    `${gstUs.toFixed(0)} µs (${gstFormat})`,
    `${speedup.toFixed(2)} ×`,
    `≥ ${SPEEDUP_BUDGET} ×`,
    speedup >= SPEEDUP_BUDGET ? 'within' : 'MISSED',
    `${fromMemoryUs.toFixed(0)} µs`,
    gigabytes(bytesPerSecond),
  ]);
  return `${table([head, ...rows], new Set([1, 2, 3, 4, 6, 7]))}\n\nmemcpy on the same frames, read and written: ${gigabytes(memcpyBytesPerSecond)}`;
}
