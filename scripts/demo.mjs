/** `npm run demo`: set-up, then `framebus demo` with the same arguments, in this process. */
import path from 'node:path';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { root } from './run/paths.mjs';
import { setUp } from './setup/all.mjs';
import { SetupFailed } from './setup/steps.mjs';

const main = path.join(root, 'dist', 'cli', 'main.js');

await runMain(() => withInterrupt((signal) => setUp({ signal })), [SetupFailed]);
if (process.exitCode === 0) {
  process.argv.splice(1, 1, main, 'demo');
  await import(main);
}
