import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { closest } from '../lib/config/closest.js';
import { FramebusError } from '../lib/errors.js';
import { PACKAGE_ROOT } from '../lib/package_root.js';
import { loadManifest, type ModelManifest } from './manifest.js';

/** Folder of the manifests that framebus brings. */
export const MODELS_DIRECTORY = path.join(PACKAGE_ROOT, 'models');

const MANIFEST = /\.ya?ml$/;

/** Names of the manifests in a folder, sorted. */
export function modelNames(directory: string = MODELS_DIRECTORY): string[] {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => MANIFEST.test(name));
  return names.map((name) => name.replace(MANIFEST, '')).toSorted();
}

/**
 * Finds and reads a manifest.
 *
 * @param nameOrFile name of a manifest in `directory`; or path of a manifest, or
 *   of an `.onnx` file with a manifest of the same name beside it
 * @throws MODEL_NOT_FOUND, MODEL_INVALID
 */
export function findManifest(nameOrFile: string, directory: string = MODELS_DIRECTORY): ModelManifest {
  if (MANIFEST.test(nameOrFile)) return loadManifest(path.resolve(nameOrFile));
  if (nameOrFile.endsWith('.onnx')) return findBeside(path.resolve(nameOrFile));
  const file = existing(path.join(directory, nameOrFile));
  if (file !== undefined && !nameOrFile.includes('/')) return loadManifest(file);
  throw notFound(nameOrFile, directory);
}

function notFound(name: string, directory: string): FramebusError {
  const known = modelNames(directory);
  // `closest` knows words of the configuration, which have underscores.
  const byWord = new Map(known.map((model) => [model.replaceAll('-', '_'), model]));
  const meant = byWord.get(closest(name, [...byWord.keys()]) ?? '');
  const hint = meant === undefined ? '' : ` (did you mean "${meant}"?)`;
  const list = known.length === 0 ? 'none' : known.join(', ');
  return new FramebusError('MODEL_NOT_FOUND', `model "${name}": there is no such manifest in ${directory}${hint}; known: ${list}`);
}

function findBeside(onnx: string): ModelManifest {
  if (!existsSync(onnx)) throw new FramebusError('MODEL_NOT_FOUND', `model ${onnx}: there is no such file`);
  const stem = onnx.slice(0, -'.onnx'.length);
  const file = existing(stem);
  if (file !== undefined) return loadManifest(file);
  throw new FramebusError('MODEL_NOT_FOUND', `model ${onnx}: there is no manifest ${stem}.yaml beside it`, {
    remedy: 'Write one that says what the model takes and gives; framebus never guesses. models/ has examples.',
  });
}

function existing(stem: string): string | undefined {
  return [`${stem}.yaml`, `${stem}.yml`].find((file) => existsSync(file));
}
