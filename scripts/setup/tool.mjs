/** Programs that npm packages bring, run without npx. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../run/paths.mjs';

export const tool = {
  directory: path.join(root, 'node_modules', '.bin'),

  /** @param {string} name */
  path(name) {
    return path.join(this.directory, name);
  },

  /**
   * Installed version of a package; it belongs into the stamps of what the package makes.
   * @param {string} name
   * @returns {string}
   */
  version(name) {
    const file = path.join(root, 'node_modules', name, 'package.json');
    return JSON.parse(readFileSync(file, 'utf8')).version;
  },
};
