import { existsSync, linkSync, renameSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { codeOf, FramebusError, messageOf } from '../../lib/errors.js';
import { OwnFolder } from '../fleet/own_folder.js';

/** Errors of link(2) where a file system has no hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * A file that appears whole, or not at all: what it is made of lies in a hidden folder beside its
 * place, on the same disk.
 */
export class NewFile {
  readonly path: string;
  /** For all that is needed on the way. */
  readonly directory: string;
  /** What becomes the file. */
  readonly draft: string;
  readonly #folder: OwnFolder;
  readonly #force: boolean;

  /** Throws FILE_EXISTS (unless forced), FILE_UNWRITABLE. */
  constructor(path: string, force: boolean) {
    this.path = path;
    this.#force = force;
    if (existsSync(path)) {
      if (statSync(path).isDirectory()) throw new FramebusError('FILE_UNWRITABLE', `${path}: is a folder`);
      if (!force) throw exists(path);
    }
    const name = basename(path);
    try {
      this.#folder = new OwnFolder(dirname(path), `.${name}.framebus-`);
    } catch (error) {
      throw unwritable(path, error);
    }
    this.directory = this.#folder.directory;
    this.draft = join(this.directory, name);
  }

  /** The draft gets its name. Throws FILE_EXISTS when somebody else has made such a file meanwhile, FILE_UNWRITABLE. */
  publish(): void {
    try {
      if (this.#force) renameSync(this.draft, this.path);
      else this.#link();
    } catch (error) {
      if (codeOf(error) === 'EEXIST') throw exists(this.path);
      throw unwritable(this.path, error);
    }
  }

  /** Removes all but the file. Idempotent. */
  remove(): void {
    this.#folder.remove();
  }

  /** A rename would write over a file. */
  #link(): void {
    try {
      linkSync(this.draft, this.path);
    } catch (error) {
      if (!NO_LINKS.has(codeOf(error) ?? '')) throw error;
      if (existsSync(this.path)) throw exists(this.path);
      renameSync(this.draft, this.path);
    }
  }
}

function exists(path: string): FramebusError {
  return new FramebusError('FILE_EXISTS', `${path}: is there already`);
}

/** Of whatever kept a file from being written. */
export function unwritable(path: string, error: unknown): FramebusError {
  if (error instanceof FramebusError) return error;
  return new FramebusError('FILE_UNWRITABLE', `${path}: ${messageOf(error)}`, { cause: error });
}
