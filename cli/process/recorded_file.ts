import { once } from 'node:events';
import { createReadStream, createWriteStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { FramebusError } from '../../lib/errors.js';
import { unwritable } from './new_file.js';

/** What is used of a line of a sidecar; see docs/recordings.md. */
interface SidecarLine {
  keyframe: boolean;
  bytes: number;
  record: { ptsNs?: string; detections?: unknown[] };
}

/** What was recorded of a file. */
export interface RecordedFile {
  /** MP4 files, in order. */
  videos: string[];
  /** Of each picture, from 0. */
  timesNs: bigint[];
  detections: number;
}

/**
 * Reads the sidecars in a folder and writes one line per picture of all of them together. `fromNs`:
 * time of the first picture in the file that they will be in. `lines`: null writes none.
 * Throws FRAMES_MISSING, FILE_UNWRITABLE.
 */
export async function readRecorded(folder: string, fromNs: bigint, lines: string | null): Promise<RecordedFile> {
  const stems = recordedStems(folder);
  const recorded: RecordedFile = { videos: stems.map((stem) => join(folder, `${stem}.mp4`)), timesNs: [], detections: 0 };
  const out = lines === null ? null : new LineFile(lines);
  try {
    for (const stem of stems) {
      for await (const text of createInterface({ input: createReadStream(join(folder, `${stem}.jsonl`)) })) {
        const line = take(recorded, JSON.parse(text) as SidecarLine, fromNs);
        await out?.write(line);
      }
    }
  } finally {
    await out?.end();
  }
  return recorded;
}

/** Their names say when they were begun, and so their order. */
function recordedStems(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => name.replace(/\.jsonl$/, ''))
    .sort();
}

function take(recorded: RecordedFile, { keyframe, bytes, record }: SidecarLine, fromNs: bigint): string {
  const { timesNs } = recorded;
  const frame = timesNs.length;
  const timeNs = fromNs + BigInt(record.ptsNs ?? 0);
  const before = timesNs.at(-1);
  if (before !== undefined && timeNs <= before) {
    throw new FramebusError('FRAMES_MISSING', `picture ${frame}: its time ${timeNs} ns is not after that of the one before`);
  }
  timesNs.push(timeNs);
  recorded.detections += record.detections?.length ?? 0;
  return JSON.stringify({ frame, timeNs: String(timeNs), keyframe, bytes, record });
}

/** A file that is written line by line. */
class LineFile {
  readonly #path: string;
  readonly #stream;
  #error: unknown = null;

  constructor(path: string) {
    this.#path = path;
    this.#stream = createWriteStream(path);
    this.#stream.on('error', (error) => {
      this.#error = error;
    });
  }

  /** Throws FILE_UNWRITABLE. */
  async write(line: string): Promise<void> {
    if (this.#error !== null) throw unwritable(this.#path, this.#error);
    if (!this.#stream.write(`${line}\n`)) {
      await once(this.#stream, 'drain').catch((error: unknown) => {
        throw unwritable(this.#path, error);
      });
    }
  }

  /** Throws FILE_UNWRITABLE. */
  async end(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream).catch((error: unknown) => {
      throw unwritable(this.#path, this.#error ?? error);
    });
  }
}
