/**
 * `npm run fuzz -- [--minutes N] [--seed S] [NAME…]`: libFuzzer, with ASan and UBSan, on the bus:
 * its attach protocol, what a producer offers, descriptors and lanes. N minutes (3) are shared by
 * all targets (or those whose name starts so). The corpus grows in .cache/fuzz; what crashes a
 * target is left there, too, and the command that repeats it is printed.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { CommandFailed, run } from './run/command.mjs';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { root, shown } from './run/paths.mjs';
import { debianPackages } from './setup/debian.mjs';
import { nativeProgram } from './setup/native.mjs';
import { RUNTIME_PACKAGES } from './setup/packages.mjs';
import { runSteps, SetupFailed } from './setup/steps.mjs';

const DIRECTORY = 'native/build-fuzz';
/** libFuzzer comes with clang alone. */
const PACKAGES = [...RUNTIME_PACKAGES, 'clang-14', 'libclang-rt-14-dev'];
const MOST_BYTES = 600;

await runMain(() => withInterrupt(fuzz), [SetupFailed]);

async function fuzz(signal) {
  const options = readOptions();
  if (options === null || options.targets.length === 0) {
    const names = targets().join(', ');
    process.stderr.write(`npm run fuzz -- [--minutes N] [--seed S] [NAME…]; there are ${names}\n`);
    return 2;
  }
  const program = {
    directory: DIRECTORY,
    target: 'core_fuzz',
    compiler: 'clang++-14',
    sanitize: 'address,undefined,fuzzer-no-link',
  };
  await runSteps([debianPackages(PACKAGES), nativeProgram(program)], { signal });
  const seconds = Math.max(1, Math.round((options.minutes * 60) / options.targets.length));
  for (const target of options.targets) {
    if (!(await runTarget(target, seconds, options.seed, signal))) return 1;
  }
  return 0;
}

/** False when it found something. */
async function runTarget(target, seconds, seed, signal) {
  const corpus = path.join(root, '.cache', 'fuzz', target);
  mkdirSync(corpus, { recursive: true });
  const program = path.join(root, DIRECTORY, target);
  const limits = [`-max_total_time=${seconds}`, `-max_len=${MOST_BYTES}`, `-seed=${seed}`];
  process.stderr.write(`── ${target}: ${seconds} s, seed ${seed}, corpus ${shown(corpus)}\n`);
  try {
    await run(program, ['--make-seeds', corpus], { signal });
    await run(program, [corpus, ...limits, `-artifact_prefix=${corpus}-`, '-print_final_stats=1'], {
      signal,
      env: { UBSAN_OPTIONS: 'halt_on_error=1:print_stacktrace=1' },
    });
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    process.stderr.write(`${target} has found something. Again: ${shown(program)} FILE-NAMED-ABOVE\n`);
    return false;
  }
  return true;
}

function targets() {
  const files = readdirSync(path.join(root, 'native', 'test', 'fuzz'));
  return files.filter((name) => name.endsWith('_fuzz.cc')).map((name) => path.basename(name, '.cc'));
}

/** Null when they make no sense. */
function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      options: { minutes: { type: 'string', default: '3' }, seed: { type: 'string', default: '1' } },
      allowPositionals: true,
    });
    const minutes = Number(values.minutes);
    const seed = Number(values.seed);
    if (!(minutes > 0) || !Number.isInteger(seed) || seed < 0) return null;
    const wanted = targets().filter(
      (target) => positionals.length === 0 || positionals.some((name) => target.startsWith(name)),
    );
    return { minutes, seed, targets: wanted };
  } catch {
    return null;
  }
}
