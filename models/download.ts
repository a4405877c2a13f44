import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import type { FetchProgress } from './fetch.js';

export interface DownloadOptions {
  onProgress?: (progress: FetchProgress) => void;
  signal?: AbortSignal;
}

/** A server that says nothing for so long is given up. */
const SILENCE_MS = 30_000;

/** Downloads into a file. Throws an Error that says why it did not work. */
export async function downloadFile(url: string, file: string, options: DownloadOptions): Promise<void> {
  const silence = new AbortController();
  const giveUp = (): void => silence.abort(new Error(`no data for ${SILENCE_MS / 1000} s`));
  let timer = setTimeout(giveUp, SILENCE_MS);
  const signal = options.signal === undefined ? silence.signal : AbortSignal.any([silence.signal, options.signal]);
  try {
    const response = await fetch(url, { signal, redirect: 'follow' });
    if (!response.ok || response.body === null) throw new Error(`the server answers ${response.status} ${response.statusText}`);
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const totalBytes = Number.isFinite(length) ? length : null;
    let receivedBytes = 0;
    const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
    body.on('data', (chunk: Uint8Array) => {
      receivedBytes += chunk.byteLength;
      clearTimeout(timer);
      timer = setTimeout(giveUp, SILENCE_MS);
      options.onProgress?.({ phase: 'download', what: url, receivedBytes, totalBytes });
    });
    await pipeline(body, createWriteStream(file), { signal });
  } catch (error) {
    throw rootOf(error);
  } finally {
    clearTimeout(timer);
  }
}

/** fetch hides why it failed in `cause`. */
function rootOf(error: unknown): unknown {
  return error instanceof TypeError && error.cause instanceof Error ? error.cause : error;
}
