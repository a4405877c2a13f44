/** `npm run test:dmabuf`: set-up, then the checks that need real DMA-BUFs, in a virtual machine. */
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { setUp } from './setup/all.mjs';
import { SetupFailed } from './setup/steps.mjs';
import { runDmabuf } from './suites/dmabuf.mjs';
import { summary } from './suites/outcome.mjs';

await runMain(
  () =>
    withInterrupt(async (signal) => {
      await setUp({ signal });
      const startedAt = performance.now();
      const result = await runDmabuf(signal);
      const { text, failed } = summary([{ ...result, ms: performance.now() - startedAt }]);
      process.stdout.write(`${text}\n`);
      return failed === 0 ? 0 : 1;
    }),
  [SetupFailed],
);
