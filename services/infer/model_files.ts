import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { codeOf } from '../../lib/errors.js';
import { sha256Of } from '../../models/fetch.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Files that a model was made of, which somebody may change where they lie. */
export interface ModelFiles {
  /** Absolute paths. */
  readonly files: readonly string[];
  /** What was in them; see `contentOf`. */
  readonly content: string;
}

/** The manifest, and what it names that is used where it lies. A fetched model file never changes. */
export function filesOf({ file, source, decoder }: Pick<ModelManifest, 'file' | 'source' | 'decoder'>): string[] {
  const model = source.kind === 'file' ? [source.file] : [];
  const module = decoder.kind === 'module' ? [decoder.module] : [];
  return [file, ...model, ...module];
}

/** A text that is another one when anything in the files is; files that are missing included. */
export async function contentOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\n${await fileHash(file)}\n`);
  return hash.digest('hex');
}

/** A text that is another one when a file was written, replaced or removed; cheap. */
export async function stampOf(files: readonly string[]): Promise<string> {
  const stamps = files.map(async (file) => {
    try {
      const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
      return [ino, size, mtimeNs, ctimeNs].join(':');
    } catch (error) {
      return codeOf(error) ?? 'unreadable';
    }
  });
  return (await Promise.all(stamps)).join(' ');
}

async function fileHash(file: string): Promise<string> {
  try {
    return await sha256Of(file);
  } catch (error) {
    return codeOf(error) ?? 'unreadable';
  }
}
