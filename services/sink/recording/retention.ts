import type { Dirent } from 'node:fs';
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../../lib/errors.js';

/** How old the segments of one folder may get. */
export interface RetentionRule {
  /** Absolute, below the root. */
  folder: string;
  /** Since the end of a segment; 0: any age. */
  keepMs: number;
}

export interface RetentionOptions {
  root: string;
  /** Room that is left on the root's file system; 0: none. */
  minFreeBytes: number;
  rules: readonly RetentionRule[];
}

export interface RetentionParts {
  /** Free bytes of the file system that a path lies on. Rejects when it is not there. */
  freeBytes(path: string): Promise<number>;
  /** Unix time. */
  nowMs(): number;
  /** Files that are being written; they are never deleted. */
  files(): Iterable<string>;
  /** A segment is gone. */
  deleted(file: string, reason: RetentionReason): void;
  /** A folder could not be read, or a file not be deleted. */
  failed(error: unknown): void;
}

export type RetentionReason = 'age' | 'space';

/** Time between two looks. */
const SWEEP_MS = 10_000;

/**
 * Name of a segment's video or sidecar, of a file that says why it was recorded, or of what a rule
 * has saved of a frame; and in it when it was begun. Other files are left alone.
 */
const SEGMENT = /^((\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3}Z)(?:\.[A-Za-z0-9_-]{1,64})?)(?:\.clean)?\.(?:mp4|jsonl|json|jpg)(?:\.part)?$/;

/** The files of one segment, or of one frame. */
interface Segment {
  folder: string;
  /** Full path without the ending. */
  stem: string;
  files: string[];
  begunMs: number;
}

/** Deletes recorded segments that are too old, and the oldest ones while there is too little room. */
export class Retention {
  readonly #options: RetentionOptions;
  readonly #parts: RetentionParts;
  readonly #keepMs: ReadonlyMap<string, number>;
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: RetentionOptions, parts: RetentionParts) {
    this.#options = options;
    this.#parts = parts;
    this.#keepMs = new Map(options.rules.map(({ folder, keepMs }) => [folder, keepMs]));
  }

  /** Sweeps now, and then again and again. */
  start(): void {
    if (this.#closed) return;
    this.#sweeping = this.sweep().finally(() => {
      if (!this.#closed) this.#timer = setTimeout(() => { this.start(); }, SWEEP_MS);
    });
  }

  /** One look at everything below the root. Never rejects. */
  async sweep(): Promise<void> {
    try {
      const left = await this.#deleteOld(await this.#segments());
      await this.#makeRoom(left);
    } catch (error) {
      // Nothing was recorded yet, or somebody has moved the root.
      if (codeOf(error) !== 'ENOENT') this.#parts.failed(error);
    }
  }

  /** Waits for a sweep that is under way. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#sweeping;
  }

  /** All segments but those that are being written, oldest first. */
  async #segments(): Promise<Segment[]> {
    const entries = await readdir(this.#options.root, { recursive: true, withFileTypes: true });
    const written = new Set([...this.#parts.files()].map(stemOf));
    const segments = new Map<string, Segment>();
    for (const entry of entries) {
      const segment = segmentOf(entry);
      if (segment === null || written.has(segment.stem)) continue;
      const known = segments.get(segment.stem);
      if (known) known.files.push(...segment.files);
      else segments.set(segment.stem, segment);
    }
    return [...segments.values()].sort((a, b) => a.begunMs - b.begunMs || a.stem.localeCompare(b.stem));
  }

  /** Returns those that are left. */
  async #deleteOld(segments: readonly Segment[]): Promise<Segment[]> {
    const left: Segment[] = [];
    for (const segment of segments) {
      if (this.#closed || !(await this.#isOld(segment)) || !(await this.#delete(segment, 'age'))) left.push(segment);
    }
    return left;
  }

  async #isOld({ folder, files, begunMs }: Segment): Promise<boolean> {
    const keepMs = this.#keepMs.get(folder) ?? 0;
    if (keepMs === 0) return false;
    const oldestMs = this.#parts.nowMs() - keepMs;
    // What began since then has not ended before; the others are asked for their end.
    if (begunMs >= oldestMs) return false;
    const ends = await Promise.all(files.map(async (file) => (await stat(file)).mtimeMs));
    return Math.max(...ends) < oldestMs;
  }

  async #makeRoom(segments: readonly Segment[]): Promise<void> {
    const { root, minFreeBytes } = this.#options;
    if (minFreeBytes === 0) return;
    for (const segment of segments) {
      if (this.#closed || (await this.#parts.freeBytes(root)) >= minFreeBytes) return;
      await this.#delete(segment, 'space');
    }
  }

  /** False when it is still there. */
  async #delete({ stem, files }: Segment, reason: RetentionReason): Promise<boolean> {
    try {
      for (const file of files) await unlink(file);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') {
        this.#parts.failed(error);
        return false;
      }
    }
    this.#parts.deleted(stem, reason);
    return true;
  }
}

const stemOf = (file: string): string => file.replace(/\.[^.]*$/, '');

/** null: not a file of ours. */
function segmentOf(entry: Dirent): Segment | null {
  const [, stem, day, hour, minute, second] = SEGMENT.exec(entry.name) ?? [];
  if (stem === undefined || !entry.isFile()) return null;
  const begunMs = Date.parse(`${String(day)}T${String(hour)}:${String(minute)}:${String(second)}`);
  if (Number.isNaN(begunMs)) return null;
  const file = join(entry.parentPath, entry.name);
  return { folder: entry.parentPath, stem: join(entry.parentPath, stem), files: [file], begunMs };
}
