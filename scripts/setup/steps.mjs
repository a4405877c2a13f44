/** Runs set-up steps one after the other: each shown, timed, skipped when nothing is to be done. */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Interrupted, tail } from '../run/command.mjs';
import { takeLock } from '../run/lock.mjs';
import { shown, stateDirectory } from '../run/paths.mjs';
import { seconds, StepLine } from '../run/progress.mjs';
import { Stamp } from '../run/stamp.mjs';

/**
 * @typedef {object} StepContext
 * @property {AbortSignal} signal
 * @property {(text: string) => void} note shows what is going on
 * @property {import('../run/command.mjs').CommandOptions} options for run(): log and signal
 */

/**
 * Either `check` or `stamp` tells whether there is something to do.
 * @typedef {object} Step
 * @property {string} name
 * @property {string} log name of the log file
 * @property {string} remedy what to do when it fails
 * @property {() => string | null | Promise<string | null>} [check] null: there is work
 * @property {() => {key: string, outputs: string[]}} [stamp]
 * @property {(context: StepContext) => Promise<string>} work returns what was done
 */

/** A step that cannot be done here; the message says what to do. */
export class CannotBeDone extends Error {}

/** A failed step, told to the person already. */
export class SetupFailed extends Error {}

/**
 * @param {Step[]} steps
 * @param {{signal: AbortSignal, force?: boolean, verbose?: boolean}} options
 *   `force`: do the work even when nothing has changed; `verbose`: output to the terminal
 */
export async function runSteps(steps, { signal, force = false, verbose = false }) {
  const release = await takeLock(path.join(stateDirectory, 'lock'), {
    signal,
    onWait: () => process.stderr.write('waiting for another set-up in this folder to end …\n'),
  });
  const startedAt = performance.now();
  try {
    for (const step of steps) await runStep(step, { signal, force, verbose });
  } finally {
    await release();
  }
  process.stderr.write(`Set-up took ${seconds(performance.now() - startedAt)}.\n`);
}

async function runStep(step, { signal, force, verbose }) {
  if (signal.aborted) throw new Interrupted();
  const log = verbose ? null : path.join(stateDirectory, `${step.log}.log`);
  const line = new StepLine(step.name);
  const note = (text) => line.note(text);
  try {
    const stamp = step.stamp?.();
    const saved = stamp ? new Stamp(step.log) : null;
    const ready = stamp ? saved.holds(stamp.key, stamp.outputs) && 'up to date' : await step.check();
    if (ready && !force) {
      line.done(ready);
      return;
    }
    if (log) rmSync(log, { force: true });
    const result = await step.work({ signal, note, options: { signal, log } });
    saved?.write(stamp.key);
    line.done(result);
  } catch (error) {
    if (error instanceof Interrupted) line.failed('interrupted');
    else tellFailure(step, line, log, error);
    throw error instanceof Interrupted ? error : new SetupFailed(step.name, { cause: error });
  }
}

function tellFailure(step, line, log, error) {
  line.failed('failed');
  const parts = [error.message];
  if (log && existsSync(log)) parts.push(tail(log, 20), `Whole log: ${shown(log)}`);
  if (!(error instanceof CannotBeDone)) parts.push(`What to do: ${step.remedy}`);
  process.stderr.write(`\n${parts.join('\n\n')}\n`);
}
