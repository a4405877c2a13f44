/** TypeScript → dist/. */
import path from 'node:path';
import { run } from '../run/command.mjs';
import { root } from '../run/paths.mjs';
import { contentHash } from '../run/stamp.mjs';
import { tool } from './tool.mjs';

const INPUTS = ['tsconfig.json', 'gen', 'lib', 'native', 'services', 'models', 'cli', 'bench'];

/** @returns {import('./steps.mjs').Step} */
export function typescript() {
  return {
    name: 'TypeScript',
    log: 'typescript',
    remedy: 'The sources do not compile; the message names file and line.',
    stamp: () => ({
      key: contentHash(INPUTS, {
        accept: (file) => file.endsWith('.ts') || file.endsWith('tsconfig.json'),
        extra: [tool.version('typescript')],
      }),
      outputs: [path.join(root, 'dist', 'cli', 'main.js')],
    }),
    async work(context) {
      context.note('compiling');
      await run(tool.path('tsc'), ['-p', 'tsconfig.json'], context.options);
      return 'compiled';
    },
  };
}
