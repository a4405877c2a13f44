import { existsSync } from 'node:fs';
import { loadConfig } from '../../lib/config.js';
import { cacheDirectory, modelsDirectory } from '../../lib/config/locations.js';
import { codeOf } from '../../lib/errors.js';
import { findManifest, MODELS_DIRECTORY, modelNames } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';

const DEFAULT_CONFIG = 'framebus.yaml';
/** Of infer.batch.size, where there is no configuration. */
const DEFAULT_BATCH = 4;

/** Folders that the model commands work with. */
export interface ModelFolders {
  /** Of the manifests: `models.directory`. */
  directory: string;
  /** Of the fetched files: `models.cache`. */
  cache: string;
  /** Threads, executors and largest batch, as the service would use them. */
  infer: { threads: number; executors: number; batch: number };
}

/** What the named configuration says, else the usual one if it is there, else the defaults. @throws CONFIG_… */
export function modelFolders(config: string | undefined): ModelFolders {
  if (config === undefined && !existsSync(DEFAULT_CONFIG)) {
    const here = process.cwd();
    return {
      directory: modelsDirectory(null, here),
      cache: cacheDirectory(null, here, process.env),
      infer: { threads: 0, executors: 1, batch: DEFAULT_BATCH },
    };
  }
  const { models, infer } = loadConfig(config ?? DEFAULT_CONFIG);
  const { threads, executors, batch } = infer;
  return { directory: models.directory, cache: models.cache, infer: { threads, executors, batch: batch.size } };
}

/** A manifest, or why it cannot be read. */
export type KnownModel =
  | { name: string; manifest: ModelManifest }
  | { name: string; error: unknown };

/** The manifests of the configured folder, then framebus's own that it does not replace; by name. */
export function knownModels(directory: string): KnownModel[] {
  const own = directory === MODELS_DIRECTORY ? [] : modelNames();
  const names = new Set([...modelNames(directory), ...own]);
  return [...names].toSorted().map((name) => {
    try {
      return { name, manifest: knownManifest(name, directory) };
    } catch (error) {
      return { name, error };
    }
  });
}

/** As `findManifest`, with framebus's own manifests where the folder has none of the name. */
export function knownManifest(nameOrFile: string, directory: string): ModelManifest {
  try {
    return findManifest(nameOrFile, directory);
  } catch (error) {
    const isOwn = directory !== MODELS_DIRECTORY && modelNames().includes(nameOrFile);
    if (codeOf(error) === 'MODEL_NOT_FOUND' && isOwn) return findManifest(nameOrFile);
    throw error;
  }
}
