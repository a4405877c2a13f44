import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Cores that this process may use: of the machine, its affinity, and its cgroup's quota. */
export function usableCores(cgroup = '/sys/fs/cgroup/cpu.max'): number {
  return Math.max(1, Math.min(availableParallelism(), cgroupCores(cgroup)));
}

function cgroupCores(file: string): number {
  try {
    const [quota, period] = readFileSync(file, 'utf8').trim().split(' ');
    return quota === 'max' ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(Number(quota) / Number(period)));
  } catch {
    // No cgroup v2: no quota that we could know of.
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Threads of each executor's engine.
 *
 * By default the executors share half of the cores: decoding and encoding need
 * the rest, and a small network on two threads costs a third more CPU time than
 * on one.
 *
 * @param configured from the configuration; 0 means by default
 */
export function engineThreads(configured: number, executors: number, cores = usableCores()): number {
  if (configured > 0) return configured;
  return Math.max(1, Math.floor(cores / 2 / executors));
}
