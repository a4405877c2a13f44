import { basename } from 'node:path';
import type { EventsConfig } from '../../../lib/config.js';
import { withDeadline } from '../../../lib/deadline.js';
import { FramebusError, messageOf } from '../../../lib/errors.js';
import type { Log } from '../../../lib/log.js';
import type { LogLimit } from '../../../lib/log_limit.js';
import { SCHEMA_VERSION } from '../../../lib/subjects.js';
import type { Clip, ClipCache, RecordingEvent, RecordingStats } from '../../../native/contract.js';
import { EventClip as EventClipMessage, type RecordedEvent } from '#proto/framebus/recording/v1/recorded_event.js';
import { writeWhole } from './whole_file.js';

/** What may wait for the disk beside what the cache had. */
const QUEUE_BYTES = 2n ** 24n;
/** No clip is so much longer than its events allow. */
const SLACK_MS = 60_000;
/** How long the first pictures may take to the disk. */
const FIRST_FILE_MS = 10_000;

export interface EventClipOptions extends Pick<EventsConfig, 'preRollMs' | 'postRollMs' | 'maxLengthMs'> {
  streamId: string;
  /** Absolute. */
  folder: string;
}

/**
 * What is recorded for one event, or for several that overlap: usually one file, with a .json
 * beside it that says which events. Its failures stay its own.
 */
export class EventClip {
  /** In the order of their starts; the owner changes them, and then calls `note`. */
  readonly events: RecordedEvent[] = [];
  readonly #options: EventClipOptions;
  readonly #log: Log;
  readonly #limit: LogLimit;
  readonly #clips = new Set<Clip>();
  readonly #files: string[] = [];
  #preRollMs: number | null = null;
  /** Why nothing is on the disk now; null: nothing has gone wrong. */
  #failure: string | null = null;
  #heard: (() => void)[] = [];
  #ended: Promise<void> | null = null;
  #isComplete = false;
  #noted: Promise<void> = Promise.resolve();
  /** A description that is to be written has not been begun yet. */
  #isToBeNoted = false;

  constructor(options: EventClipOptions, log: Log, limit: LogLimit) {
    this.#options = options;
    this.#log = log;
    this.#limit = limit;
  }

  /** How long before its first event it really begins. */
  get preRollMs(): number {
    return this.#preRollMs ?? 0;
  }

  /** Paths, in order. */
  get files(): readonly string[] {
    return this.#files;
  }

  /** Files that may still be written to. */
  get written(): readonly string[] {
    return this.#isComplete ? [] : this.#files;
  }

  /** Over its outputs. */
  stats(): Pick<RecordingStats, 'bytes' | 'droppedGops' | 'failures'>[] {
    return [...this.#clips].map((clip) => clip.stats());
  }

  /** Records an output, too; the pre-roll of the first one is the clip's. Throws BAD_OPTIONS. */
  record(cache: ClipCache, preRollMs: number): Clip {
    const { folder, preRollMs: longest, maxLengthMs, postRollMs } = this.#options;
    // Events join for max_length, and the last of them may last as long.
    const segmentMs = longest + 2 * maxLengthMs + postRollMs + SLACK_MS;
    const options = { folder, segmentMs, maxBytes: 0n, sidecar: true, queueBytes: QUEUE_BYTES };
    const clip = cache.begin(preRollMs, options, (event) => {
      this.#hear(event);
    });
    this.#preRollMs ??= clip.preRollMs;
    this.#clips.add(clip);
    return clip;
  }

  /** The file that is there first, when its first pictures are. Rejects with RECORDING_FAILED. */
  async firstFile(): Promise<string> {
    const waited = withDeadline(this.#firstFile(), FIRST_FILE_MS, 'no picture came');
    return waited.catch((error: unknown) => {
      throw new FramebusError('RECORDING_FAILED', `event of ${this.#options.streamId}: ${messageOf(error)}`);
    });
  }

  /** Writes down what has changed. */
  note(): void {
    if (this.#isToBeNoted) return;
    this.#isToBeNoted = true;
    this.#noted = this.#noted.then(() => this.#note());
  }

  /** Finishes the files. Never rejects. Idempotent. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #firstFile(): Promise<string> {
    for (;;) {
      const [file] = this.#files;
      if (this.#failure !== null) throw new Error(this.#failure);
      if (file !== undefined) return file;
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  async #end(): Promise<void> {
    for (const clip of this.#clips) {
      await clip.end().catch((error: unknown) => {
        this.#complain('failed', messageOf(error));
      });
    }
    this.#isComplete = true;
    this.note();
    await this.#noted;
  }

  #hear(event: RecordingEvent): void {
    if (event.type === 'begun') {
      this.#failure = null;
      this.#files.push(event.file);
      this.note();
    } else if (event.type === 'failed') {
      this.#failure = event.message;
      this.#complain(event.code, event.message);
    } else if (event.type === 'resumed') {
      this.#log.info({ stream: this.#options.streamId, file: event.file }, 'recording of an event goes on');
    } else {
      this.#complain('RECORDING_SLOW', 'the disk is too slow');
    }
    for (const tell of this.#heard.splice(0)) tell();
  }

  #complain(code: string, cause: string): void {
    const skipped = this.#limit.take(code);
    if (skipped === null) return;
    this.#log.error({ stream: this.#options.streamId, code, cause, skipped }, 'pictures of an event are missing');
  }

  async #note(): Promise<void> {
    this.#isToBeNoted = false;
    const message = EventClipMessage.toJSON({
      schemaVersion: SCHEMA_VERSION,
      streamId: this.#options.streamId,
      preRollMs: this.preRollMs,
      files: this.#files.map((file) => basename(file)),
      events: this.events,
      complete: this.#isComplete,
    });
    const text = `${JSON.stringify(message, null, 2)}\n`;
    for (const file of this.#files) {
      try {
        await writeWhole(file.replace(/\.mp4$/, '.json'), text);
      } catch (error) {
        this.#complain('note', messageOf(error));
      }
    }
  }
}
