/** The C++ tests of native/core, each program run by itself: all with sanitizers, some as users have it. */
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Interrupted, run, tail } from '../run/command.mjs';
import { inLanes } from '../run/lanes.mjs';
import { root, stateDirectory } from '../run/paths.mjs';
import { buildNative } from '../setup/native.mjs';
import { addProblem, outcome } from './outcome.mjs';

const PROGRAM_WITHIN_MS = 300_000;
const LEAKS_OF_OTHERS = path.join(root, 'native', 'test', 'lsan.supp');

/** What vector units and full speed could make different: loops over pixels, and races. */
const OPTIMISED = [
  ...['preprocess_test', 'preprocess_kernel_test', 'class_argmax_test', 'draw_test', 'draw_mask_test'],
  ...['slot_protocol_test', 'frame_pool_test', 'bus_test', 'bus_group_test', 'bus_fence_test'],
];

/** @typedef {{name: string, directory: string, sanitize?: string, programs?: string[]}} Build */

/** @type {Build[]} */
export const CPP_BUILDS = [
  { name: 'C++ (optimised)', directory: 'native/build', programs: OPTIMISED },
  { name: 'C++ (ASan, UBSan)', directory: 'native/build-asan', sanitize: 'address,undefined' },
];

/**
 * @param {Build} build
 * @param {AbortSignal} signal
 */
export async function runCppTests(build, signal) {
  const result = outcome(build.name);
  const programs = build.programs ?? allPrograms();
  if (programs.length === 0) addProblem(result, 'there are no tests');
  const note = () => undefined;
  await buildNative({ signal, note, options: { signal } }, { ...build, target: build.programs ?? 'core_tests' });
  await inLanes(programs, (program) => runProgram(result, build, program, signal));
  return result;
}

const allPrograms = () =>
  readdirSync(path.join(root, 'native', 'test'))
    .filter((name) => name.endsWith('_test.cc'))
    .map((name) => path.basename(name, '.cc'));

async function runProgram(result, build, program, signal) {
  const log = path.join(stateDirectory, `${path.basename(build.directory)}-${program}.log`);
  rmSync(log, { force: true });
  let failure = null;
  try {
    await run(path.join(root, build.directory, program), [], {
      signal: AbortSignal.any([signal, AbortSignal.timeout(PROGRAM_WITHIN_MS)]),
      log,
      env: sanitizerOptions(),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    failure = error instanceof Interrupted ? `not done after ${PROGRAM_WITHIN_MS} ms` : error.message;
  }
  const counted = /^(\d+) passed, (\d+) failed$/m.exec(existsSync(log) ? readFileSync(log, 'utf8') : '');
  const passed = Number(counted?.[1] ?? 0);
  const failed = Number(counted?.[2] ?? 0);
  result.passed += passed;
  result.failed += failed;
  if (failure && failed === 0) addProblem(result, failure);
  else if (passed + failed === 0) addProblem(result, `${program}: ran no test`);
  if (failure) process.stdout.write(`${tail(log, 60)}\n`);
  const mark = failure ? 'FAILED' : 'ok';
  process.stdout.write(`${mark} ${program}: ${passed} passed, ${failed} failed\n`);
}

export function sanitizerOptions() {
  return {
    // GLib has no frame pointers: only the slow unwinder shows, and lets us suppress, who allocated.
    ASAN_OPTIONS: 'detect_leaks=1:fast_unwind_on_malloc=0:strict_string_checks=1',
    UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1',
    LSAN_OPTIONS: `suppressions=${LEAKS_OF_OTHERS}:print_suppressions=0`,
  };
}
