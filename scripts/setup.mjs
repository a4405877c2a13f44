/** `npm run setup [-- --test]`: everything that running (or testing) framebus needs. */
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { setUp } from './setup/all.mjs';
import { SetupFailed } from './setup/steps.mjs';

await runMain(
  () => withInterrupt((signal) => setUp({ signal, tests: process.argv.includes('--test') })),
  [SetupFailed],
);
