/** npm packages, exactly those of package-lock.json. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../run/command.mjs';
import { root } from '../run/paths.mjs';

/** @returns {import('./steps.mjs').Step} */
export function npmPackages() {
  return {
    name: 'npm packages',
    log: 'npm',
    remedy: 'Is the npm registry reachable (`npm ping`)? A full disk shows here, too (600 MB).',
    check() {
      const wanted = lockedPackages();
      const stray = wanted.filter(([place, entry]) => !isInstalled(place, entry));
      return stray.length === 0 ? `all ${wanted.length} there` : null;
    },
    async work(context) {
      const total = lockedPackages().length;
      let fetched = 0;
      await run('npm', ['ci', '--loglevel=http'], {
        ...context.options,
        // onnxruntime-node's own script would fetch GPU libraries from outside the registry.
        env: { ONNXRUNTIME_NODE_INSTALL: 'skip' },
        onLine: (line) => {
          if (/^npm http (fetch|cache)/.test(line)) fetched += 1;
          context.note(`${Math.min(fetched, total)} of ${total} fetched`);
        },
      });
      return `${total} installed`;
    },
  };
}

/** The entries of package-lock.json that belong on this machine. */
function lockedPackages() {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  return Object.entries(lock.packages).filter(([place, entry]) => place !== '' && !entry.optional);
}

/** npm's own record of what it installed says the same, and the folder is there. */
function isInstalled(place, entry) {
  const record = installedRecord()[place];
  return record?.integrity === entry.integrity && existsSync(path.join(root, place, 'package.json'));
}

let record;
function installedRecord() {
  const file = path.join(root, 'node_modules', '.package-lock.json');
  record ??= existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : {};
  return record;
}
