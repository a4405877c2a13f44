/** Contracts: proto/ → gen/ (TypeScript, and the descriptor that server reflection serves). */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { run } from '../run/command.mjs';
import { root } from '../run/paths.mjs';
import { contentHash } from '../run/stamp.mjs';
import { tool } from './tool.mjs';

/** @returns {import('./steps.mjs').Step} */
export function contracts() {
  const descriptor = path.join(root, 'gen', 'descriptor.binpb');
  return {
    name: 'Contracts',
    log: 'contracts',
    remedy: 'A .proto file is wrong; the message names it.',
    stamp: () => ({
      key: contentHash(['proto'], { extra: [tool.version('ts-proto'), tool.version('@bufbuild/buf')] }),
      outputs: [descriptor],
    }),
    async work(context) {
      for (const folder of ['framebus', 'inference']) rmSync(path.join(root, 'gen', folder), { recursive: true, force: true });
      const options = { ...context.options, cwd: path.join(root, 'proto') };
      context.note('buf generate');
      // buf finds its plugin in PATH.
      const env = { PATH: `${tool.directory}${path.delimiter}${process.env.PATH ?? ''}` };
      await run(tool.path('buf'), ['generate'], { ...options, env });
      context.note('buf build');
      await run(tool.path('buf'), ['build', '-o', descriptor], options);
      return 'generated';
    },
  };
}
