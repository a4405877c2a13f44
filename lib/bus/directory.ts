import { chmod, mkdir, stat } from 'node:fs/promises';
import { FramebusError, messageOf } from '../errors.js';

/** Group may enter (consumers of other users), others may not even look. */
const MODE = 0o750;

/** Makes the folder of the bus sockets, mode 0750. Throws BUS_DIRECTORY. */
export async function prepareBusDirectory(directory: string): Promise<void> {
  try {
    const made = await mkdir(directory, { recursive: true, mode: MODE });
    if (made !== undefined) await chmod(directory, MODE);
    const found = await stat(directory);
    if (!found.isDirectory()) throw new Error('it is not a folder');
    if ((found.mode & 0o002) !== 0) throw new Error('everybody may write there');
  } catch (error) {
    throw new FramebusError('BUS_DIRECTORY', `bus.directory ${directory}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
