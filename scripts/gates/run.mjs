/** Runs a gate; what it writes is shown at once, when it is done. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CommandFailed, run } from '../run/command.mjs';
import { stateDirectory } from '../run/paths.mjs';

/**
 * @param {import('./lint.mjs').Gate} gate
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether the gate passed
 */
export async function passesGate(gate, signal) {
  const log = path.join(stateDirectory, `gate-${gate.name.replaceAll(' ', '-')}.log`);
  const startedAt = performance.now();
  const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1);
  try {
    await run(gate.command, gate.args, { signal, cwd: gate.cwd, log });
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    process.stdout.write(`${readFileSync(log, 'utf8')}FAILED ${gate.name} (${seconds()} s)\n`);
    return false;
  }
  process.stdout.write(`ok ${gate.name} (${seconds()} s)\n`);
  return true;
}
