import type { RecordConfig } from '../../../lib/config.js';
import { codeOf, messageOf } from '../../../lib/errors.js';
import type { Log } from '../../../lib/log.js';
import { LogLimit } from '../../../lib/log_limit.js';
import type { Addon, Output, Recording, RecordingEvent, RecordingStats } from '../../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { recordLine } from './record_line.js';

/** What may wait for the disk, per stream: half a minute at 4 Mbit/s. */
const QUEUE_BYTES = 2n ** 24n;
/** lossless: with so much before the disk the next pictures wait; those in the encoder still have room. */
const WAIT_BYTES = 2 ** 22;

export interface StreamRecordingOptions extends Pick<RecordConfig, 'segmentMs' | 'maxBytes' | 'sidecar'> {
  /** Absolute. */
  folder: string;
  /** lossless: pictures wait for a slow disk. */
  waits: boolean;
}

/** The recording of one output; the next output of the stream gets another one. */
export interface OutputRecording {
  /** False: the disk is behind, and the next picture is to wait. */
  hasRoom(): boolean;
  /** The record of the picture that is pushed next, under its number in the output. */
  expect(number: bigint, record: DetectionRecord): void;
  /** Finishes the file, after the output was closed. Never rejects. */
  close(): Promise<void>;
}

/** Records the outputs of one stream, one after the other. Its failures stay its own. */
export class StreamRecording {
  readonly #streamId: string;
  readonly #options: StreamRecordingOptions;
  readonly #addon: Pick<Addon, 'createRecording'>;
  readonly #log: Log;
  readonly #limit = new LogLimit();
  readonly #open = new Set<Recording>();
  /** Of the recordings that are closed. */
  #past: Totals = { segments: 0, bytes: 0, droppedGops: 0, failures: 0 };

  constructor(streamId: string, options: StreamRecordingOptions, addon: Pick<Addon, 'createRecording'>, log: Log) {
    this.#streamId = streamId;
    this.#options = options;
    this.#addon = addon;
    this.#log = log;
  }

  /** Records an output from its first picture on; null when that is not possible, which the log says. */
  attach(output: Output): OutputRecording | null {
    const { folder, segmentMs, maxBytes, sidecar, waits } = this.#options;
    const options = { folder, segmentMs, maxBytes: BigInt(maxBytes), sidecar, queueBytes: QUEUE_BYTES };
    try {
      const recording = this.#addon.createRecording(output, options, (event) => {
        this.#hear(event);
      });
      this.#open.add(recording);
      return {
        hasRoom: () => !waits || recording.stats().queuedBytes < WAIT_BYTES,
        expect: (number, record) => {
          const line = sidecar ? recordLine(record) : 'null';
          recording.expect(number, record.epoch?.uuid ?? '', line);
        },
        close: () => this.#close(recording),
      };
    } catch (error) {
      this.#fail(codeOf(error) ?? 'RECORDING_FAILED', messageOf(error));
      return null;
    }
  }

  /** Over all outputs so far. */
  stats(): Totals {
    return [...this.#open].map((recording) => recording.stats()).reduce(add, this.#past);
  }

  /** Files that are being written. */
  files(): string[] {
    return [...this.#open].map((recording) => recording.stats().file).filter((file) => file !== null);
  }

  async #close(recording: Recording): Promise<void> {
    try {
      await recording.close();
    } catch (error) {
      this.#fail(codeOf(error) ?? 'RECORDING_FAILED', messageOf(error));
    }
    if (this.#open.delete(recording)) this.#past = add(this.#past, recording.stats());
  }

  #hear(event: RecordingEvent): void {
    const stream = this.#streamId;
    if (event.type === 'failed') {
      this.#fail(event.code, event.message);
    } else if (event.type === 'resumed') {
      this.#log.info({ stream, file: event.file }, 'recording goes on');
    } else if (event.type === 'dropped') {
      const skipped = this.#limit.take('slow');
      if (skipped !== null) this.#log.warn({ stream, code: 'RECORDING_SLOW', skipped }, 'the disk is too slow; pictures are missing in the recording');
    }
  }

  #fail(code: string, cause: string): void {
    const skipped = this.#limit.take(code);
    if (skipped === null) return;
    this.#log.error({ stream: this.#streamId, code, cause, skipped }, 'recording has failed; it is tried again every second');
  }
}

type Totals = Omit<RecordingStats, 'file' | 'queuedBytes'>;

const add = (a: Totals, b: Totals): Totals => ({
  segments: a.segments + b.segments,
  bytes: a.bytes + b.bytes,
  droppedGops: a.droppedGops + b.droppedGops,
  failures: a.failures + b.failures,
});
