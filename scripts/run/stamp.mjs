/** Remembers for which inputs a step was last done, by content, so that a second run skips it. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root, stateDirectory } from './paths.mjs';

/**
 * Hash over the names and contents of files and folders; a missing one counts as missing.
 * @param {string[]} inputs paths relative to `base`
 * @param {{accept?: (file: string) => boolean, extra?: string[], base?: string}} [options]
 *   `extra`: further strings that the result depends on
 */
export function contentHash(inputs, { accept = () => true, extra = [], base = root } = {}) {
  const hash = createHash('sha256');
  for (const text of extra) hash.update(`extra ${text}\n`);
  for (const input of inputs) {
    for (const file of filesOf(path.join(base, input))) {
      if (!accept(file)) continue;
      hash.update(`file ${path.relative(base, file)}\n`);
      hash.update(readFileSync(file));
    }
  }
  return hash.digest('hex');
}

/** Every file under a path, in a fixed order. */
function* filesOf(start) {
  if (!existsSync(start)) return;
  if (statSync(start).isFile()) {
    yield start;
    return;
  }
  const entries = readdirSync(start, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const file = path.join(start, entry.name);
    if (entry.isDirectory() && !/^(build.*|node_modules)$/.test(entry.name)) yield* filesOf(file);
    else if (entry.isFile()) yield file;
  }
}

/** The stamp of one step. */
export class Stamp {
  #file;

  /**
   * @param {string} name
   * @param {string} [directory]
   */
  constructor(name, directory = stateDirectory) {
    this.#file = path.join(directory, `${name}.stamp`);
  }

  /**
   * True when the step was done for exactly this key and its outputs are still there.
   * @param {string} key
   * @param {string[]} outputs absolute paths
   */
  holds(key, outputs) {
    if (!outputs.every((output) => existsSync(output))) return false;
    return existsSync(this.#file) && readFileSync(this.#file, 'utf8') === key;
  }

  /** @param {string} key */
  write(key) {
    mkdirSync(path.dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, key);
  }
}
