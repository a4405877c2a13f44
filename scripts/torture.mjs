/**
 * `npm run torture -- [--minutes N] [--kills K] [--seed S] [--rate R] [--json]`: the torture of
 * the bus for as long as one likes. 4 producers and 12 consumers, R kills a second (30), until
 * the time is over (1 minute; with --kills: an hour) or so many were killed.
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { CommandFailed, run } from './run/command.mjs';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { root } from './run/paths.mjs';
import { debianPackages } from './setup/debian.mjs';
import { nativeProgram } from './setup/native.mjs';
import { RUNTIME_PACKAGES } from './setup/packages.mjs';
import { runSteps, SetupFailed } from './setup/steps.mjs';

const USAGE = 'npm run torture -- [--minutes N] [--kills K] [--seed S] [--rate R] [--json]';

await runMain(() => withInterrupt(torture), [SetupFailed]);

async function torture(signal) {
  const options = readOptions();
  if (options === null) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  const program = { directory: 'native/build', target: 'torture' };
  await runSteps([debianPackages(RUNTIME_PACKAGES), nativeProgram(program)], { signal });
  try {
    await run(path.join(root, program.directory, program.target), options, { signal });
  } catch (error) {
    // The program has said what failed.
    if (error instanceof CommandFailed) return 1;
    throw error;
  }
  return 0;
}

/** Arguments of the program; null when they make no sense. */
function readOptions() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        minutes: { type: 'string' },
        kills: { type: 'string' },
        seed: { type: 'string' },
        rate: { type: 'string' },
        json: { type: 'boolean' },
      },
    }));
  } catch {
    return null;
  }
  const { json, minutes, ...numbers } = values;
  const seconds = Number(minutes ?? (numbers.kills === undefined ? 1 : 60)) * 60;
  const given = Object.entries({ ...numbers, seconds: String(seconds) });
  if (!given.every(([, value]) => Number(value) >= 0)) return null;
  return [...given.flatMap(([name, value]) => [`--${name}`, value]), ...(json ? ['--json'] : [])];
}
