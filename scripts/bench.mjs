/** `npm run bench -- NAME [--json]`: set-up, then dist/bench/NAME.js with the other arguments. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { run } from './run/command.mjs';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { root } from './run/paths.mjs';
import { setUp } from './setup/all.mjs';
import { SetupFailed } from './setup/steps.mjs';

await runMain(
  () =>
    withInterrupt(async (signal) => {
      const [name = '', ...args] = process.argv.slice(2);
      if (!existsSync(path.join(root, 'bench', `${name}.ts`))) {
        process.stderr.write(`${name || '(no name)'}: there are the benchmarks ${benchmarks().join(', ')}\n`);
        return 2;
      }
      await setUp({ signal, tests: true });
      await run('node', [path.join('dist', 'bench', `${name}.js`), ...args], { signal });
      return 0;
    }),
  [SetupFailed],
);

/** Benchmarks are the files of bench/ itself; what they share lies in folders. */
function benchmarks() {
  const names = readdirSync(path.join(root, 'bench')).filter((name) => name.endsWith('.ts'));
  return names.map((name) => path.basename(name, '.ts')).sort();
}
