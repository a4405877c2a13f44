/**
 * `npm test`: set-up, gates, the model, C++ tests, all vitest projects. The last line has the real sums.
 * `npm test -- NAME…` runs only the parts whose name starts so (for example: eslint unit).
 */
import { lintGates, typecheckGates } from './gates/lint.mjs';
import { passesGate } from './gates/run.mjs';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { inLanes } from './run/lanes.mjs';
import { setUp } from './setup/all.mjs';
import { CPP_BUILDS, runCppTests } from './suites/cpp.mjs';
import { runDmabuf } from './suites/dmabuf.mjs';
import { runModel } from './suites/model.mjs';
import { addProblem, outcome, summary } from './suites/outcome.mjs';
import { runTorture, TORTURES } from './suites/torture.mjs';
import { PROJECTS, runProject } from './suites/vitest.mjs';

/** Each of these keeps one core busy. */
const pairable = [
  { name: 'dmabuf', work: (signal) => runDmabuf(signal, { optional: true }) },
  ...[...lintGates(), ...typecheckGates()].map((gate) => ({
    name: gate.name,
    work: (signal) => runGate(gate, signal),
  })),
];
/** And these all that there are. */
const suites = [
  { name: 'model', work: (signal) => runModel(signal) },
  ...CPP_BUILDS.map((build) => ({
    name: build.name,
    work: (signal) => runCppTests(build, signal),
  })),
  ...TORTURES.map((torture) => ({
    name: torture.name,
    work: (signal) => runTorture(torture, signal),
  })),
  ...PROJECTS.map((project) => ({
    name: project.name,
    work: (signal) => runProject(project, signal),
  })),
];

await runMain(() => withInterrupt(testAll));

async function testAll(signal) {
  const wanted = process.argv.slice(2);
  const isWanted = (part) => wanted.length === 0 || wanted.some((name) => part.name.startsWith(name));
  const outcomes = [];
  try {
    await setUp({ signal, tests: true });
    outcomes.push(...(await inLanes(pairable.filter(isWanted), (part) => runPart(part, signal))));
    for (const part of suites.filter(isWanted)) {
      process.stdout.write(`\n── ${part.name}\n`);
      outcomes.push(await runPart(part, signal));
    }
  } catch (error) {
    if (signal.aborted) throw error;
    const broken = outcome('set-up');
    addProblem(broken, error.message);
    outcomes.push(broken);
  }
  const { text, failed } = summary(outcomes);
  process.stdout.write(`${text}\n`);
  return failed === 0 && outcomes.length > 0 ? 0 : 1;
}

async function runPart({ name, work }, signal) {
  const startedAt = performance.now();
  let result;
  try {
    result = await work(signal);
  } catch (error) {
    if (signal.aborted) throw error;
    result = outcome(name);
    addProblem(result, error.message);
  }
  return { ...result, ms: performance.now() - startedAt };
}

/** A gate is no test: it adds nothing when it passes, a failure when it does not. */
async function runGate(gate, signal) {
  const result = outcome(gate.name, { gate: true });
  if (!(await passesGate(gate, signal))) addProblem(result, 'failed, see above');
  return result;
}
