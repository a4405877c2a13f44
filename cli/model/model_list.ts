import { statSync } from 'node:fs';
import { MODELS_DIRECTORY } from '../../models/find.js';
import { modelFileHere } from '../../models/fetch.js';
import type { ModelManifest, ModelSource } from '../../models/manifest.js';
import { bytesText } from '../bytes.js';
import { table } from '../status/table.js';

/** One line of `framebus model ls`; also its JSON. */
export interface ModelEntry {
  name: string;
  task: string;
  licence: string;
  width: number;
  height: number;
  batch: number | 'dynamic';
  decoder: string;
  classes: number;
  /** Whether the manifest came with framebus. */
  shipped: boolean;
  manifest: string;
  /** Where the file comes from. */
  source: string;
  /** Where the file is; null when it is not here. */
  file: string | null;
  bytes: number | null;
}

/** What is known of a model without opening its file. */
export function modelEntry(manifest: ModelManifest, cacheDirectory: string): ModelEntry {
  const { name, task, licence, input, batch, decoder, labels, source } = manifest;
  const file = modelFileHere(manifest, cacheDirectory);
  return {
    name,
    task,
    licence,
    width: input.width,
    height: input.height,
    batch,
    decoder: decoder.kind,
    classes: labels.size,
    shipped: manifest.file.startsWith(MODELS_DIRECTORY),
    manifest: manifest.file,
    source: sourceText(source),
    file,
    bytes: file === null ? null : statSync(file).size,
  };
}

/** Where a model's file comes from, for people. */
export function sourceText(source: ModelSource): string {
  switch (source.kind) {
    case 'npm':
      return `npm ${source.spec}`;
    case 'url':
      return source.url;
    case 'file':
      return source.file;
  }
}

/** The list for people; addresses are cut to their host. */
export function modelTable(entries: readonly ModelEntry[]): string {
  const head = ['name', 'task', 'input', 'batch', 'decoder', 'classes', 'licence', 'file', 'from'];
  const rows = entries.map((entry) => [
    entry.name,
    entry.task,
    `${entry.width}×${entry.height}`,
    String(entry.batch),
    entry.decoder,
    String(entry.classes),
    entry.licence,
    entry.bytes === null ? 'not fetched' : bytesText(entry.bytes),
    shortSource(entry.source) + (entry.shipped ? '' : ' (own)'),
  ]);
  return table([head, ...rows], new Set([2, 5, 7]));
}

function shortSource(source: string): string {
  return /^https?:/.test(source) ? new URL(source).host : source;
}
