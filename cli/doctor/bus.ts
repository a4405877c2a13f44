import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { missing, ok, warning, type Check } from './check.js';

/** Whether the folder of the bus sockets can be used by this user. */
export function checkBus(directory: string): Check[] {
  const name = `folder ${directory}`;
  const remedy = `Set bus.directory to a folder of this user, or: install -d -m 0750 -o $(id -u) ${directory}`;
  if (!existsSync(directory)) {
    const parent = nearest(directory);
    return isWritable(parent)
      ? [ok('frame bus', name, 'will be made with mode 0750')]
      : [missing('frame bus', name, `cannot be made: this user may not write ${parent}`, remedy)];
  }
  const { mode, uid } = statSync(directory);
  if (!statSync(directory).isDirectory()) return [missing('frame bus', name, 'is not a folder', remedy)];
  if (!isWritable(directory)) return [missing('frame bus', name, `belongs to uid ${uid}; this user may not write it`, remedy)];
  const shown = `mode 0${(mode & 0o777).toString(8)}, uid ${uid}`;
  return (mode & 0o007) === 0
    ? [ok('frame bus', name, shown)]
    : [warning('frame bus', name, `${shown}: others may enter`, `chmod 0750 ${directory}`)];
}

function nearest(directory: string): string {
  const parent = dirname(directory);
  return existsSync(parent) || parent === directory ? parent : nearest(parent);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
