import { existsSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isFile, sourceProblem, toUri } from '../../lib/config/source_uri.js';
import { FramebusError } from '../../lib/errors.js';

/** A stream of the demo, as its configuration names it. */
export interface DemoStream {
  id: string;
  source: string;
  /** Files play again and again, as if they were cameras. */
  loop: boolean;
}

export interface StreamsWanted {
  /** As the person wrote them; empty means the sample clip. */
  sources: readonly string[];
  /** How many streams; null means one per source. More than sources: they are used in turn. */
  count: number | null;
  /** The sample clip. */
  clip: string;
  /** Folder from which relative paths are taken. */
  directory: string;
}

/** Throws USAGE for what makes no sense, SOURCE_NOT_FOUND for a file that is not there. */
export function planStreams({ sources, count, clip, directory }: StreamsWanted): DemoStream[] {
  const wanted = sources.length === 0 ? [clip] : sources;
  const total = count ?? wanted.length;
  if (total < wanted.length) {
    throw new FramebusError('USAGE', `--streams ${total}: ${wanted.length} sources are given`, {
      remedy: 'Leave --streams out, or give at least as many as there are sources.',
    });
  }
  for (const source of wanted) checkSource(source, source === clip, directory);
  const taken = new Set<string>();
  return Array.from({ length: total }, (_, index) => {
    const source = wanted[index % wanted.length] ?? clip;
    const id = freeName(nameOf(source), taken);
    taken.add(id);
    return { id, source: toUri(source, directory), loop: isFile(source) };
  });
}

function checkSource(source: string, isClip: boolean, directory: string): void {
  const problem = sourceProblem(source);
  if (problem !== null) {
    throw new FramebusError('USAGE', `--source ${source}: ${problem}`, {
      remedy: 'Give a path, or a URI such as rtsp://camera/stream.',
    });
  }
  const uri = toUri(source, directory);
  const path = localPath(uri);
  if (path === null || existsSync(path)) return;
  throw new FramebusError('SOURCE_NOT_FOUND', `${path}: there is no such file`, {
    remedy: isClip ? 'Run "npm run setup", which fetches it.' : 'Check the path after --source.',
  });
}

function localPath(uri: string): string | null {
  if (uri.startsWith('file://')) return fileURLToPath(uri);
  if (uri.startsWith('v4l2://')) return resolve('/', uri.slice('v4l2://'.length));
  return null;
}

/** A name that one can type: from the file, the device or the host. */
export function nameOf(source: string): string {
  const local = source.replace(/^(file|v4l2):\/\//, '');
  const isUrl = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(local);
  const raw = isUrl ? new URL(local).hostname : basename(local, extname(local));
  const clean = raw.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '');
  return clean.slice(0, 56) || 'camera';
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  let candidate = name;
  for (let number = 2; taken.has(candidate); number += 1) candidate = `${name}-${number}`;
  return candidate;
}
