import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { codeOf, FramebusError, messageOf } from '../../lib/errors.js';

const SAVE_PAUSE_MS = 200;

/** Where a watcher was, in a file that is whole whenever the process ends. */
export class CursorFile {
  readonly #file: string;
  #cursor = '';
  #saved = '';
  #timer: NodeJS.Timeout | null = null;

  /** Throws FILE_UNWRITABLE when the file is there and cannot be read. */
  constructor(file: string) {
    this.#file = file;
    try {
      this.#cursor = readFileSync(file, 'utf8').trim();
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw this.#unusable(error);
    }
    this.#saved = this.#cursor;
  }

  /** Empty when there was none. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Everything up to here is done with; in the file a moment later. */
  set(cursor: string): void {
    if (cursor === '') return;
    this.#cursor = cursor;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.save();
    }, SAVE_PAUSE_MS);
  }

  /** Throws FILE_UNWRITABLE. */
  save(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#cursor === this.#saved) return;
    const part = `${this.#file}.part`;
    try {
      writeFileSync(part, `${this.#cursor}\n`);
      renameSync(part, this.#file);
    } catch (error) {
      throw this.#unusable(error);
    }
    this.#saved = this.#cursor;
  }

  #unusable(error: unknown): FramebusError {
    return new FramebusError('FILE_UNWRITABLE', `${this.#file}: ${messageOf(error)}`, { cause: error });
  }
}
