import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Addon } from './contract.js';
import { AddonLoadError } from './errors.js';

/** The project's folder: the nearest one above with framebus's package.json. */
function projectRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) {
      const content: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
      if (typeof content === 'object' && content !== null && 'name' in content && content.name === 'framebus') {
        return folder;
      }
    }
    if (dirname(folder) === folder) {
      throw new AddonLoadError('ADDON_MISSING', `native addon: no framebus package.json above ${start}`);
    }
  }
}

/** Where the addon lies; FRAMEBUS_ADDON names another one. */
export function addonPath(): string {
  // eslint-disable-next-line no-restricted-properties -- the addon is chosen before there is a configuration
  return process.env['FRAMEBUS_ADDON'] ?? join(projectRoot(), 'native', 'build', 'framebus.node');
}

/** Loads the addon. Throws AddonLoadError. */
export function loadAddon(): Addon {
  const path = addonPath();
  if (!existsSync(path)) {
    throw new AddonLoadError('ADDON_MISSING', `native addon ${path}: it is not built; run "npm run setup"`);
  }
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AddonLoadError(
      'ADDON_UNLOADABLE',
      `native addon ${path}: cannot be loaded: ${why}; run "npm run setup" to build it for this machine`,
      { cause },
    );
  }
}
