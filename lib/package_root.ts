import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function find(from: string): string {
  if (existsSync(join(from, 'package.json'))) return from;
  const parent = dirname(from);
  if (parent === from) throw new Error(`no package.json above ${fileURLToPath(import.meta.url)}`);
  return find(parent);
}

/** Folder of framebus itself, the one with package.json, from source and from dist alike. */
export const PACKAGE_ROOT = find(dirname(fileURLToPath(import.meta.url)));
