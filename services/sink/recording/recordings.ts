import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Counter, type Registry } from 'prom-client';
import type { RecordingsConfig, StreamConfig } from '../../../lib/config.js';
import type { Log } from '../../../lib/log.js';
import { LogLimit } from '../../../lib/log_limit.js';
import type { Addon } from '../../../native/contract.js';
import { Retention, type RetentionReason, type RetentionRule } from './retention.js';
import { StreamRecording } from './stream_recording.js';

export interface RecordingsParts {
  addon: Pick<Addon, 'createRecording'>;
  log: Log;
  metrics: Registry;
  /** Files below the root that are not ours, and how long they are kept. */
  events: { retention: readonly RetentionRule[]; files: () => string[] };
}

/** The recordings of all streams that ask for one, and what becomes of their files. */
export class Recordings {
  readonly #log: Log;
  readonly #limit = new LogLimit();
  readonly #streams = new Map<string, StreamRecording>();
  readonly #deleted = new Map<RetentionReason, number>();
  readonly #retention: Retention | null;

  constructor({ root, minFreeBytes }: RecordingsConfig, streams: readonly StreamConfig[], { addon, log, metrics, events }: RecordingsParts) {
    this.#log = log;
    const recorded = streams.filter(({ record }) => record.enabled);
    for (const { id, record, mode } of recorded) {
      const options = { ...record, folder: join(root, record.folder), waits: mode === 'lossless' };
      this.#streams.set(id, new StreamRecording(id, options, addon, log));
    }
    const ours = recorded.map(({ record: { folder, keepMs } }) => ({ folder: join(root, folder), keepMs }));
    const rules = [...ours, ...events.retention];
    // Who records nothing deletes nothing.
    this.#retention = rules.length === 0 ? null : this.#keep({ root, minFreeBytes, rules }, events.files);
    this.#register(metrics);
  }

  /** Of a stream; null when it is not recorded. */
  of(streamId: string): StreamRecording | null {
    return this.#streams.get(streamId) ?? null;
  }

  start(): void {
    this.#retention?.start();
  }

  /** After the streams. Idempotent. */
  async close(): Promise<void> {
    await this.#retention?.close();
  }

  #keep(options: ConstructorParameters<typeof Retention>[0], files: () => string[]): Retention {
    return new Retention(options, {
      freeBytes: async (path) => {
        const { bavail, bsize } = await statfs(path);
        return bavail * bsize;
      },
      nowMs: () => Date.now(),
      files: () => [...this.#streams.values()].flatMap((stream) => stream.files()).concat(files()),
      deleted: (file, reason) => {
        this.#deleted.set(reason, (this.#deleted.get(reason) ?? 0) + 1);
        this.#log.debug({ file, reason }, 'recorded segment deleted');
      },
      failed: (error) => {
        const skipped = this.#limit.take('retention');
        if (skipped !== null) this.#log.warn({ err: error, skipped }, 'old recordings cannot be deleted');
      },
    });
  }

  #register(registry: Registry): void {
    const counters = [
      ['segments', 'framebus_recording_segments_total', 'Files with recorded pictures that were begun.'],
      ['bytes', 'framebus_recording_bytes_total', 'Bytes that were recorded, sidecars included.'],
      ['droppedGops', 'framebus_recording_dropped_gops_total', 'Groups of pictures that are missing in recordings, or their ends.'],
      ['failures', 'framebus_recording_failures_total', 'How often a recording failed.'],
    ] as const;
    const streams = this.#streams;
    for (const [key, name, help] of counters) {
      new Counter({
        name,
        help,
        labelNames: ['stream'],
        registers: [registry],
        collect() {
          this.reset();
          for (const [stream, recording] of streams) this.inc({ stream }, recording.stats()[key]);
        },
      });
    }
    const deleted = this.#deleted;
    new Counter({
      name: 'framebus_recording_deleted_total',
      help: 'Recorded segments that were deleted, because of their age or for room.',
      labelNames: ['reason'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [reason, count] of deleted) this.inc({ reason }, count);
      },
    });
  }
}
