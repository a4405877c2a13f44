/** The sample clip vtest.avi: downloaded alone where that works, else taken from Debian's opencv-doc. */
import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { capture, Interrupted, run } from '../run/command.mjs';
import { cacheDirectory } from '../run/paths.mjs';
import { withFreshLists } from './debian.mjs';

const SHA256 = '45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf';
const URL = 'https://raw.githubusercontent.com/opencv/opencv/4.x/samples/data/vtest.avi';
const MEMBER = './usr/share/doc/opencv-doc/examples/data/vtest.avi';
/** Without internet the attempt must not hold anybody up. */
const ANSWER_WITHIN_MS = 4000;
const WHOLE_WITHIN_MS = 60_000;

export const clipFile = path.join(cacheDirectory, 'vtest.avi');

/** @returns {import('./steps.mjs').Step} */
export function sampleClip() {
  return {
    name: 'Sample clip vtest.avi',
    log: 'clip',
    remedy: `Put the file there yourself: ${clipFile}`,
    check: () => (existsSync(clipFile) && hasRightContent(clipFile) ? 'there' : null),
    async work(context) {
      mkdirSync(cacheDirectory, { recursive: true });
      const directory = await mkdtemp(path.join(cacheDirectory, 'clip-'));
      try {
        const part = path.join(directory, 'vtest.avi');
        const from = await obtain(context, directory, part);
        renameSync(part, clipFile);
        return from;
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
  };
}

async function obtain(context, directory, part) {
  try {
    await download(context, part);
    if (hasRightContent(part)) return 'downloaded';
  } catch (error) {
    if (context.signal.aborted) throw new Interrupted();
    context.note(`no direct download (${error.cause?.code ?? error.message}); taking Debian's`);
  }
  await extractFromDebian(context, directory, part);
  if (!hasRightContent(part)) throw new Error(`${MEMBER} of opencv-doc: not the expected content`);
  return 'taken from opencv-doc';
}

async function download(context, part) {
  context.note('trying the direct download');
  const answer = new AbortController();
  const timer = setTimeout(() => answer.abort(new Error('no answer')), ANSWER_WITHIN_MS);
  const signal = AbortSignal.any([
    context.signal,
    answer.signal,
    AbortSignal.timeout(WHOLE_WITHIN_MS),
  ]);
  try {
    const response = await fetch(URL, { signal });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    clearTimeout(timer);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(part), { signal });
  } finally {
    clearTimeout(timer);
  }
}

async function extractFromDebian(context, directory, part) {
  context.note('downloading opencv-doc (96 MB) for one file of it');
  await withFreshLists(context, (options) =>
    run('apt-get', ['-q', 'download', 'opencv-doc'], { ...options, cwd: directory }),
  );
  const archive = readdirSync(directory).find((name) => name.endsWith('.deb'));
  if (!archive) throw new Error('apt-get download opencv-doc: left no package');
  context.note('unpacking');
  const members = await capture('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -t', 'sh', archive], {
    cwd: directory,
  });
  const member = members.split('\n').find((name) => name === MEMBER || name === `${MEMBER}.gz`);
  if (!member) throw new Error(`opencv-doc: has no ${MEMBER}`);
  const unpack = member.endsWith('.gz') ? '| gunzip' : '';
  const script = `dpkg-deb --fsys-tarfile "$1" | tar -xO "$2" ${unpack} > "$3"`;
  await run('sh', ['-c', script, 'sh', archive, member, part], { ...context.options, cwd: directory });
}

function hasRightContent(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex') === SHA256;
}
