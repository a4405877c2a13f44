import { statSync } from 'node:fs';
import { codeOf, EXIT } from '../../lib/errors.js';
import { ensureModelFile } from '../../models/fetch.js';
import type { ModelManifest } from '../../models/manifest.js';
import { Screen } from '../demo/screen.js';
import { StopRequest } from '../demo/stop_request.js';
import { FetchDisplay } from './fetch_display.js';

export interface FetchModelOptions {
  cacheDirectory: string;
  /** A copy of the file that is here already. */
  from?: string;
  signal: AbortSignal;
}

/** A model's file, made sure of. */
export interface FetchedModel {
  file: string;
  bytes: number;
  /** false: it was here, and whole. */
  fetched: boolean;
}

/** Fetches and checks one model with progress on stderr. @throws MODEL_…, CANCELLED */
export async function fetchModel(manifest: ModelManifest, options: FetchModelOptions): Promise<FetchedModel> {
  const display = new FetchDisplay(manifest.name, new Screen(process.stderr), process.stderr);
  const { cacheDirectory, from, signal } = options;
  try {
    const file = await ensureModelFile(manifest, {
      cacheDirectory,
      signal,
      onProgress: display.update,
      ...(from === undefined ? {} : { from }),
    });
    return { file, bytes: statSync(file).size, fetched: display.active || from !== undefined };
  } finally {
    display.close();
  }
}

/** One of several models. */
export interface FetchOutcome {
  name: string;
  result: FetchedModel | { error: unknown };
}

/** Fetches one after the other; one that fails does not keep the others from it, Ctrl-C does. @throws CANCELLED */
export async function* fetchModels(
  manifests: readonly ModelManifest[],
  options: FetchModelOptions,
): AsyncGenerator<FetchOutcome> {
  for (const manifest of manifests) {
    const { name } = manifest;
    try {
      yield { name, result: await fetchModel(manifest, options) };
    } catch (error) {
      if (codeOf(error) === 'CANCELLED') throw error;
      yield { name, result: { error } };
    }
  }
}

/** Runs something that Ctrl-C ends in good order; a second Ctrl-C ends the process. */
export async function withStop<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new StopRequest(() => process.exit(EXIT.interrupted));
  try {
    return await work(stop.signal);
  } finally {
    stop.close();
  }
}
