import { accessSync, constants } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { PACKAGE_ROOT } from '../package_root.js';

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

function writable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Folder of the bus sockets where the file says nothing; the same for all services of a user. */
export function defaultBusDirectory(environment: Environment = process.env): string {
  const runtime = environment['XDG_RUNTIME_DIR'];
  if (runtime !== undefined && runtime !== '' && writable(runtime)) return join(runtime, 'framebus');
  if (writable('/run') || writable('/run/framebus')) return '/run/framebus';
  return join(tmpdir(), `framebus-${userInfo().uid}`);
}

/** Folder of fetched models and clips. */
export function cacheDirectory(written: string | null, directory: string, environment: Environment): string {
  const fromEnvironment = environment['FRAMEBUS_CACHE'];
  if (fromEnvironment !== undefined && fromEnvironment !== '') return resolve(fromEnvironment);
  return written === null ? join(PACKAGE_ROOT, '.cache', 'framebus') : resolve(directory, written);
}

/** Folder of the model manifests; framebus's own where the file says nothing else. */
export function modelsDirectory(written: string | null, directory: string): string {
  return written === null ? join(PACKAGE_ROOT, 'models') : resolve(directory, written);
}
