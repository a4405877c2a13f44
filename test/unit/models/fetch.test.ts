import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FramebusError } from '../../../lib/errors.js';
import { ensureModel, ensureModelFile, type FetchProgress } from '../../../models/fetch.js';
import { findManifest } from '../../../models/find.js';
import type { ModelManifest } from '../../../models/manifest.js';
import { tempFolder } from '../../helpers/temp.js';

const MODEL = Buffer.from('not really a model, but checked like one');
const SHA = createHash('sha256').update(MODEL).digest('hex');

/** A manifest of ours with another source, in a folder of its own. */
function manifest(source: ModelManifest['source']): ModelManifest {
  return { ...findManifest('yolox-nano-416'), name: 'some', file: path.join(tempFolder(), 'some.yaml'), source };
}

/** A web server; returns its address and how often it was asked. */
async function serve(status: number, body: Buffer): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    response.writeHead(status, { 'content-length': body.length }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/some.onnx`, asked: () => asked };
}

/** An address at which nobody listens any more. */
async function closedPort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}/some.onnx`;
}

async function refusal(promise: Promise<unknown>): Promise<FramebusError> {
  const error: unknown = await promise.then(() => undefined, (reason: unknown) => reason);
  if (error instanceof FramebusError) return error;
  throw new Error(`expected a FramebusError, got ${String(error)}`);
}

describe('ensureModelFile', () => {
  it('downloads once, with progress, and leaves nothing else in the cache', async () => {
    const { url, asked } = await serve(200, MODEL);
    const some = manifest({ kind: 'url', url, sha256: SHA });
    const cacheDirectory = tempFolder();
    const seen: FetchProgress[] = [];
    const file = await ensureModelFile(some, { cacheDirectory, onProgress: (progress) => seen.push(progress) });
    expect(file).toBe(path.join(cacheDirectory, 'models', `some-${SHA.slice(0, 12)}.onnx`));
    expect(readFileSync(file)).toEqual(MODEL);
    expect(seen.findLast(({ phase }) => phase === 'download')).toMatchObject({ receivedBytes: MODEL.length, totalBytes: MODEL.length });
    expect(await ensureModelFile(some, { cacheDirectory })).toBe(file);
    expect(asked()).toBe(1);
    expect(readdirSync(path.join(cacheDirectory, 'models'))).toEqual([path.basename(file)]);
  });

  it('fetches anew what has been damaged in the cache', async () => {
    const { url, asked } = await serve(200, MODEL);
    const some = manifest({ kind: 'url', url, sha256: SHA });
    const cacheDirectory = tempFolder();
    const file = await ensureModelFile(some, { cacheDirectory });
    writeFileSync(file, 'damaged');
    expect(readFileSync(await ensureModelFile(some, { cacheDirectory }))).toEqual(MODEL);
    expect(asked()).toBe(2);
  });

  it('refuses another file than the manifest says, and keeps nothing of it', async () => {
    const { url } = await serve(200, Buffer.from('something else'));
    const cacheDirectory = tempFolder();
    const error = await refusal(ensureModelFile(manifest({ kind: 'url', url, sha256: SHA }), { cacheDirectory }));
    expect(error.code).toBe('MODEL_CHECKSUM');
    expect(error.message).toContain(`the manifest says ${SHA}`);
    expect(readdirSync(path.join(cacheDirectory, 'models'))).toEqual([]);
  });

  it('says why a download failed, and what to do', async () => {
    const { url } = await serve(404, Buffer.from('no'));
    const error = await refusal(ensureModelFile(manifest({ kind: 'url', url, sha256: SHA }), { cacheDirectory: tempFolder() }));
    expect(error.code).toBe('MODEL_FETCH');
    expect(error.message).toBe(`model some: ${url}: the server answers 404 Not Found`);
    expect(error.remedy).toContain('fetch some --from FILE');
    const nobody = manifest({ kind: 'url', url: await closedPort(), sha256: SHA });
    expect((await refusal(ensureModelFile(nobody, { cacheDirectory: tempFolder() }))).message).toContain('ECONNREFUSED');
  });

  it('takes a copy that is here already, wherever it lies', async () => {
    const some = manifest({ kind: 'url', url: 'http://127.0.0.1:9/x', sha256: SHA });
    const cacheDirectory = tempFolder();
    const copy = path.join(tempFolder(), 'copy.bin');
    writeFileSync(copy, 'wrong', { mode: 0o444 });
    const error = await refusal(ensureModelFile(some, { cacheDirectory, from: copy }));
    expect([error.code, error.message.includes(copy)]).toEqual(['MODEL_CHECKSUM', true]);

    const right = path.join(tempFolder(), 'right.bin');
    writeFileSync(right, MODEL, { mode: 0o444 });
    const file = await ensureModelFile(some, { cacheDirectory, from: right });
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(await ensureModelFile(some, { cacheDirectory })).toBe(file);
  });

  it('takes the file beside the manifest', async () => {
    const some = manifest({ kind: 'url', url: 'http://127.0.0.1:9/x', sha256: SHA });
    const beside = path.join(path.dirname(some.file), 'some.onnx');
    writeFileSync(beside, MODEL);
    expect(await ensureModelFile(some, { cacheDirectory: tempFolder() })).toBe(beside);
  });

  it('uses a local file where it lies', async () => {
    const local = path.join(tempFolder(), 'mine.onnx');
    const options = { cacheDirectory: tempFolder() };
    const missing = await refusal(ensureModelFile(manifest({ kind: 'file', file: local, sha256: null }), options));
    expect([missing.code, missing.message]).toEqual(['MODEL_NOT_FOUND', `model some: ${local}: there is no such file`]);
    writeFileSync(local, MODEL);
    expect(await ensureModelFile(manifest({ kind: 'file', file: local, sha256: null }), options)).toBe(local);
    expect(await ensureModelFile(manifest({ kind: 'file', file: local, sha256: SHA }), options)).toBe(local);
    const wrong = manifest({ kind: 'file', file: local, sha256: '0'.repeat(64) });
    expect((await refusal(ensureModelFile(wrong, options))).code).toBe('MODEL_CHECKSUM');
  });
});

describe('ensureModel', () => {
  it('says which models there are', async () => {
    const error = await refusal(ensureModel('nothing', { cacheDirectory: tempFolder() }));
    expect(error.code).toBe('MODEL_NOT_FOUND');
    expect(error.message).toContain('ssdlite-mobilenet-v2');
  });
});
