/** The vitest projects, one run each, counted from vitest's own report. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run } from '../run/command.mjs';
import { root, stateDirectory } from '../run/paths.mjs';
import { tool } from '../setup/tool.mjs';
import { addProblem, outcome } from './outcome.mjs';

/** Projects of vitest.config.ts, and how long a whole project may take. */
export const PROJECTS = [
  { name: 'unit', withinMinutes: 5 },
  { name: 'native', withinMinutes: 5 },
  { name: 'integration', withinMinutes: 20 },
  { name: 'e2e', withinMinutes: 20 },
];

/**
 * @param {{name: string, withinMinutes: number}} project
 * @param {AbortSignal} signal
 */
export async function runProject({ name, withinMinutes }, signal) {
  const result = outcome(name);
  const report = path.join(stateDirectory, `vitest-${name}.json`);
  rmSync(report, { force: true });
  let failure = null;
  try {
    await run(
      tool.path('vitest'),
      ['run', '--project', name, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
      { signal: AbortSignal.any([signal, AbortSignal.timeout(withinMinutes * 60_000)]) },
    );
  } catch (error) {
    if (signal.aborted) throw error;
    failure = error;
  }
  if (existsSync(report)) count(result, JSON.parse(readFileSync(report, 'utf8')));
  else addProblem(result, `no report; it was not done after ${withinMinutes} min, or crashed`);
  if (result.passed + result.failed === 0) addProblem(result, 'ran no test');
  if (failure && result.failed === 0) addProblem(result, failure.message);
  return result;
}

function count(result, report) {
  result.passed += report.numPassedTests;
  result.failed += report.numFailedTests;
  result.skipped += report.numPendingTests + report.numTodoTests;
  for (const file of report.testResults) {
    const failedInside = file.assertionResults.some((test) => test.status === 'failed');
    if (file.status === 'failed' && !failedInside) {
      addProblem(result, `${path.relative(root, file.name)}: ${file.message.split('\n')[0]}`);
    }
  }
}
