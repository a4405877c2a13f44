/**
 * The tasks of a working day: `node scripts/tasks.mjs NAME`, or `npm run NAME`.
 *   gen        contracts → gen/
 *   native     native addon → native/build
 *   build      gen, native, TypeScript → dist/
 *   lint       buf lint, eslint, dependency-cruiser, clang-format
 *   typecheck  everything, tests included
 *   check      lint and typecheck
 */
import { lintGates, typecheckGates } from './gates/lint.mjs';
import { passesGate } from './gates/run.mjs';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { inLanes } from './run/lanes.mjs';
import { contracts } from './setup/contracts.mjs';
import { nativeAddon } from './setup/native.mjs';
import { runSteps, SetupFailed } from './setup/steps.mjs';
import { typescript } from './setup/typescript.mjs';

const builds = {
  gen: () => [contracts()],
  native: () => [nativeAddon()],
  build: () => [contracts(), nativeAddon(), typescript()],
};
const gates = {
  lint: lintGates,
  typecheck: typecheckGates,
  check: () => [...lintGates(), ...typecheckGates()],
};

await runMain(() => withInterrupt((signal) => runTask(process.argv[2] ?? '', signal)), [SetupFailed]);

async function runTask(name, signal) {
  if (Object.hasOwn(builds, name)) {
    await runSteps(builds[name](), { signal, force: true, verbose: true });
    return 0;
  }
  if (Object.hasOwn(gates, name)) return runGates(gates[name](), signal);
  const names = [...Object.keys(builds), ...Object.keys(gates)].join(', ');
  process.stderr.write(`${name || '(no task)'}: there are the tasks ${names}.\n`);
  return 2;
}

/** Runs all of them even when one fails, so that one run shows everything. */
async function runGates(list, signal) {
  const passed = await inLanes(list, (gate) => passesGate(gate, signal));
  const failed = list.filter((_, at) => !passed[at]).map(({ name }) => name);
  process.stderr.write(failed.length ? `Failed: ${failed.join(', ')}\n` : 'All passed.\n');
  return failed.length === 0 ? 0 : 1;
}
