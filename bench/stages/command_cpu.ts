import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';

/** Kernel ticks a second in /proc; fixed at 100 by Linux's ABI. */
const TICKS_PER_SECOND = 100;

/** User and system CPU seconds of a command and all that it started. Throws when it fails. */
export async function commandCpuSeconds(command: readonly string[]): Promise<number> {
  const child = spawn('bash', ['-c', 'TIMEFORMAT="%U %S"; time "$@" >/dev/null', 'bash', ...command], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command.join(' ')}: exit ${String(code)}: ${errors.trim()}`);
  const [user, system] = (errors.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  if (user === undefined || system === undefined || Number.isNaN(user + system)) {
    throw new Error(`${command.join(' ')}: no times in ${JSON.stringify(errors)}`);
  }
  return user + system;
}

/** User and system CPU seconds that a running process has used so far. */
export function processCpuSeconds(pid: number): number {
  // The name (field 2) may hold blanks; what follows the last bracket does not.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/**
 * User and system CPU microseconds of a running process' threads; finer than
 * processCpuSeconds, but without the threads that have ended.
 */
export function threadsCpuUs(pid: number): number {
  let cpuNs = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    // Its first field is the time spent on a CPU, in nanoseconds.
    cpuNs += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return cpuNs / 1000;
}
