/** The gates that look at sources: each is one program over the whole tree. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from '../run/paths.mjs';
import { tool } from '../setup/tool.mjs';

/**
 * @typedef {object} Gate
 * @property {string} name
 * @property {string} command
 * @property {string[]} args
 * @property {string} [cwd]
 */

/** @returns {Gate[]} */
export function lintGates() {
  return [
    { name: 'buf lint', command: tool.path('buf'), args: ['lint'], cwd: path.join(root, 'proto') },
    { name: 'eslint', command: tool.path('eslint'), args: ['.', '--max-warnings=0'] },
    {
      name: 'dependency-cruiser',
      command: tool.path('depcruise'),
      args: ['--config', '.dependency-cruiser.cjs', '--output-type', 'err', ...cruised()],
    },
    {
      name: 'clang-format',
      command: 'clang-format',
      args: ['--dry-run', '-Werror', ...nativeSources()],
    },
  ];
}

/** @returns {Gate[]} */
export function typecheckGates() {
  return [
    { name: 'types', command: tool.path('tsc'), args: ['-p', 'tsconfig.test.json', '--noEmit'] },
    { name: 'types of the examples', command: tool.path('tsc'), args: ['-p', 'examples'] },
  ];
}

function cruised() {
  return ['lib', 'services', 'native', 'models', 'cli', 'bench'];
}

function nativeSources() {
  const files = [];
  for (const folder of ['core', 'binding', 'engine', 'test']) {
    const entries = readdirSync(path.join(root, 'native', folder), { recursive: true });
    const sources = entries.filter((name) => /\.(cc|h)$/.test(name));
    files.push(...sources.map((name) => path.join('native', folder, name)));
  }
  return files.sort();
}
