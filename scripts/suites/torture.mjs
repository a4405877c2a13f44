/** The torture of the bus, bounded: processes that are killed, stopped and cut off. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Interrupted, run, tail } from '../run/command.mjs';
import { root, shown, stateDirectory } from '../run/paths.mjs';
import { buildNative } from '../setup/native.mjs';
import { CPP_BUILDS, sanitizerOptions } from './cpp.mjs';
import { addProblem, outcome } from './outcome.mjs';

const WITHIN_MS = 180_000;

/**
 * @typedef {object} Torture
 * @property {string} name
 * @property {import('./cpp.mjs').Build} build
 * @property {number} seconds
 * @property {number} seed
 * @property {number} rate kills a second
 */

/** @type {Torture[]} */
export const TORTURES = CPP_BUILDS.map((build) => ({
  name: build.name.replace('C++', 'torture'),
  build,
  ...(build.sanitize ? { seconds: 8, seed: 20240302, rate: 12 } : { seconds: 18, seed: 20240301, rate: 30 }),
}));

/** Whether the run was one at all: what it counts, and at least how much of it, on a busy machine, too. */
const least = ({ seconds, rate }) => ({
  kills: (seconds * rate) / 4,
  stops: (seconds * rate) / 40,
  resets: (seconds * rate) / 60,
  epochs: 8,
  verified: 1000,
  rests: 2,
  stop_proofs: 1,
});

/**
 * @param {Torture} torture
 * @param {AbortSignal} signal
 */
export async function runTorture(torture, signal) {
  const { build, seconds, seed, rate } = torture;
  const result = outcome(torture.name);
  const note = () => undefined;
  await buildNative({ signal, note, options: { signal } }, { ...build, target: 'torture' });
  const log = path.join(stateDirectory, `${path.basename(build.directory)}-torture.log`);
  rmSync(log, { force: true });
  const limits = ['--seconds', String(seconds), '--seed', String(seed), '--rate', String(rate)];
  let failure = null;
  try {
    await run(path.join(root, build.directory, 'torture'), [...limits, '--check-every', '6', '--json'], {
      signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]),
      log,
      env: sanitizerOptions(),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    failure = error instanceof Interrupted ? `not done after ${WITHIN_MS} ms` : error.message;
  }
  const report = readReport(log);
  judge(result, report, failure, least(torture));
  if (result.failed > 0) process.stdout.write(`${tail(log, 120)}\n`);
  else process.stdout.write(`ok seed ${seed}: ${report.kills} kills, ${report.frames} frames; ${shown(log)}\n`);
  return result;
}

function readReport(log) {
  const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
  const line = text.split('\n').find((each) => each.startsWith('{"name":"torture"'));
  return line === undefined ? null : JSON.parse(line);
}

/** The whole run is one test; that it was thorough, another. */
function judge(result, report, failure, expected) {
  for (const problem of report?.failures ?? []) addProblem(result, problem);
  if (failure && result.failed === 0) addProblem(result, failure);
  if (report === null || result.failed > 0) return;
  result.passed += 1;
  const few = Object.entries(expected).filter(([key, count]) => !(report[key] >= count));
  for (const [key, count] of few) addProblem(result, `${key}: only ${report[key]}, expected ${count} or more`);
  if (few.length === 0) result.passed += 1;
}
