import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { FramebusError, messageOf } from '../lib/errors.js';

/** Writes beside and renames, so that nobody ever reads half a picture. @throws FILE_UNWRITABLE */
export function savePicture(file: string, picture: Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, picture);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new FramebusError('FILE_UNWRITABLE', `${file}: ${messageOf(error)}`, { cause: error });
  }
}
