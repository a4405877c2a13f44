import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { closest } from './closest.js';
import { show } from './fields.js';

/** Schemes that GStreamer's elements, as framebus installs them, open. */
const LIVE = ['rtsp', 'rtsps', 'rtspt', 'rtspu', 'v4l2', 'rtmp', 'srt', 'udp'];
const ON_DEMAND = ['http', 'https'];
/** Frames that a program of the user's own publishes: bus://<its producer's name>. */
const BUS = 'bus';
const SCHEMES = ['file', ...ON_DEMAND, ...LIVE, BUS];
const PRODUCER = /^bus:\/\/([a-z0-9-]{1,64})\/?$/i;

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//;

function schemeOf(source: string): string | undefined {
  return SCHEME.exec(source)?.[1]?.toLowerCase();
}

/** What is wrong with a source, or null. Says nothing of whether it can be opened. */
export function sourceProblem(source: string): string | null {
  if (source.trim() === '') return 'must not be empty: a path, or a URI such as rtsp://camera/stream';
  const scheme = schemeOf(source);
  if (scheme === undefined) return null;
  if (!SCHEMES.includes(scheme)) {
    const near = closest(scheme, SCHEMES);
    const hint = near === undefined ? '' : `; did you mean "${near}://"?`;
    return `unknown scheme "${scheme}://"${hint} (known: ${SCHEMES.join(', ')}, or a path)`;
  }
  if (scheme === 'file' || scheme === 'v4l2') {
    return /^[A-Za-z0-9]+:\/\/\/./.test(source)
      ? null
      : `must have three slashes and a full path, such as ${scheme}:///${scheme === 'file' ? 'clip.mp4' : 'dev/video0'}, is ${show(source)}`;
  }
  if (scheme === BUS) {
    return PRODUCER.test(source) ? null : `must be bus:// and the producer's name (a-z 0-9 -), is ${show(source)}`;
  }
  const hasHost = URL.canParse(source) && (new URL(source).hostname !== '' || ['udp', 'srt'].includes(scheme));
  return hasHost ? null : `is not a URI: ${show(source)}; write special characters of a password as %XX`;
}

/** Name of the producer whose frames a bus:// source means; null for other sources. */
export function producerOf(source: string): string | null {
  return PRODUCER.exec(source)?.[1] ?? null;
}

const DEVICE = /^\/dev\/video\d+$/;

/** Whether a source is a file: only those can loop, be paced or wait. */
export function isFile(source: string): boolean {
  const scheme = schemeOf(source);
  return scheme === undefined ? !DEVICE.test(source) : scheme === 'file';
}

/** The URI of a source; a path is taken from the folder of the configuration file. */
export function toUri(source: string, directory: string): string {
  const scheme = schemeOf(source);
  if (scheme === 'file') return new URL(source).href;
  if (scheme !== undefined) return source;
  return DEVICE.test(source) ? `v4l2://${source}` : pathToFileURL(resolve(directory, source)).href;
}
