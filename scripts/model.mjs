/**
 * `npm run model`: the model of the slot protocol, checked by spin; `-- --long`: the large
 * searches, too.
 */
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { runModel } from './suites/model.mjs';
import { summary } from './suites/outcome.mjs';

await runMain(() =>
  withInterrupt(async (signal) => {
    const startedAt = performance.now();
    const result = await runModel(signal, { long: process.argv.includes('--long') });
    const { text, failed } = summary([{ ...result, ms: performance.now() - startedAt }]);
    process.stdout.write(`${text}\n`);
    return failed === 0 ? 0 : 1;
  }),
);
