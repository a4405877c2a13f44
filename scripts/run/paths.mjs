/** Where set-up and tasks find and leave things. Nothing outside the repository is written. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** Models and clips; kept, may be shared between checkouts. */
export const cacheDirectory = path.resolve(
  root,
  process.env.FRAMEBUS_CACHE || path.join('.cache', 'framebus'),
);
/** Stamps, logs and the lock of set-up. */
export const stateDirectory = path.join(root, '.cache', 'setup');

/**
 * A path as shown to people: relative where it lies in the repository.
 * @param {string} file
 */
export function shown(file) {
  return file.startsWith(root + path.sep) ? path.relative(root, file) : file;
}
