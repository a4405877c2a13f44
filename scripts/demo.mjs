/** `npm run demo`: set-up, then `framebus demo` with the same arguments, in this process. */
import path from 'node:path';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { root } from './run/paths.mjs';
import { setUp } from './setup/all.mjs';
import { SetupFailed } from './setup/steps.mjs';

const main = path.join(root, 'dist', 'cli', 'main.js');

await runMain(() => withInterrupt((signal) => setUp({ signal })), [SetupFailed]);
if (process.exitCode === 0) {
  if (process.env.npm_lifecycle_event) endWithParent();
  process.argv.splice(1, 1, main, 'demo');
  await import(main);
}

/** npm that is killed cannot pass anything on; nobody would end the demo then. */
function endWithParent() {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM');
  }, 1000).unref();
}
