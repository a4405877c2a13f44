import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuleConfig } from '../../../lib/config.js';
import { messageOf } from '../../../lib/errors.js';
import type { Log } from '../../../lib/log.js';
import { LogLimit } from '../../../lib/log_limit.js';
import type { Output } from '../../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { recordLine } from '../recording/record_line.js';
import type { EventClock } from './event_clock.js';
import { writeWhole } from './whole_file.js';

/** Frames of a stream that may be on their way to the disk; more are left out. */
const MOST_WANTED = 8;
/** A frame whose picture does not come in so long has none. */
const DEADLINE_MS = 10_000;
const JPEG_QUALITY = 90;

/** A frame that a rule wants, until it is saved or given up. */
interface Wanted {
  record: DetectionRecord;
  rule: RuleConfig;
  timer: NodeJS.Timeout;
}

export interface CaptureTotals {
  /** Frames that rules have wanted, by what became of them. */
  captures: Readonly<Record<'saved' | 'failed' | 'dropped', number>>;
}

/** Saves the very frames in which rules began to hold: pictures, records. Its failures stay its own. */
export class FrameCaptures {
  readonly #streamId: string;
  readonly #folder: string;
  readonly #log: Log;
  readonly #clock: EventClock;
  readonly #limit = new LogLimit();
  readonly #wanted = new Set<Wanted>();
  readonly #writing = new Set<Promise<void>>();
  readonly #totals = { saved: 0, failed: 0, dropped: 0 };

  constructor(streamId: string, folder: string, log: Log, clock: EventClock) {
    this.#streamId = streamId;
    this.#folder = folder;
    this.#log = log;
    this.#clock = clock;
  }

  /** What a rule saves of this frame; its picture is pushed later, or never. */
  want(record: DetectionRecord, rule: RuleConfig): void {
    const { save } = rule;
    if (!save.some((what) => what !== 'clip')) return;
    if (this.#wanted.size + this.#writing.size >= MOST_WANTED) {
      this.#totals.dropped++;
      this.#complain(rule, 'too many frames are being saved already');
      return;
    }
    if (!save.some(isPicture)) {
      this.#save(record, rule, []);
      return;
    }
    const wanted: Wanted = {
      record,
      rule,
      timer: setTimeout(() => {
        this.#giveUp(wanted, 'its picture was dropped');
      }, DEADLINE_MS),
    };
    this.#wanted.add(wanted);
  }

  /** The picture of a record is pushed next; the same one again when there was no room for it. */
  expect(output: Output, number: bigint, record: DetectionRecord): void {
    for (const wanted of this.#wanted) {
      if (wanted.record === record) void this.#capture(output, number, wanted);
    }
  }

  totals(): CaptureTotals {
    return { captures: this.#totals };
  }

  /** Waits for the disk. Idempotent. */
  async close(): Promise<void> {
    for (const wanted of this.#wanted) this.#giveUp(wanted, 'sink was stopped');
    await Promise.all(this.#writing);
  }

  async #capture(output: Output, number: bigint, wanted: Wanted): Promise<void> {
    try {
      const pictures = wanted.rule.save.filter(isPicture).map(async (what) => {
        const taken = await output.captureNext({ quality: JPEG_QUALITY, drawn: what === 'snapshot', timeoutMs: DEADLINE_MS });
        return taken?.seq === number ? { ending: what === 'snapshot' ? 'jpg' : 'clean.jpg', data: taken.jpeg } : null;
      });
      const taken = (await Promise.all(pictures)).filter((picture) => picture !== null);
      // Without room it is pushed again, or the deadline passes.
      if (taken.length < pictures.length || !this.#wanted.delete(wanted)) return;
      clearTimeout(wanted.timer);
      this.#save(wanted.record, wanted.rule, taken);
    } catch (error) {
      this.#giveUp(wanted, messageOf(error));
    }
  }

  #save(record: DetectionRecord, rule: RuleConfig, pictures: readonly { ending: string; data: Uint8Array }[]): void {
    const metadata = rule.save.includes('metadata') ? [{ ending: 'json', data: `${recordLine(record)}\n` }] : [];
    const writing = this.#write(rule, [...pictures, ...metadata])
      .then(
        () => {
          this.#totals.saved++;
        },
        (error: unknown) => {
          this.#fail(rule, messageOf(error));
        },
      )
      .finally(() => {
        this.#writing.delete(writing);
      });
    this.#writing.add(writing);
  }

  async #write(rule: RuleConfig, files: readonly { ending: string; data: string | Uint8Array }[]): Promise<void> {
    // A name as that of a segment, so that retention knows its age.
    const time = new Date(this.#clock.unixMs()).toISOString().replaceAll(':', '-');
    await mkdir(this.#folder, { recursive: true });
    for (const { ending, data } of files) await writeWhole(join(this.#folder, `${time}.${rule.name}.${ending}`), data);
  }

  #giveUp(wanted: Wanted, cause: string): void {
    clearTimeout(wanted.timer);
    if (this.#wanted.delete(wanted)) this.#fail(wanted.rule, cause);
  }

  #fail(rule: RuleConfig, cause: string): void {
    this.#totals.failed++;
    this.#complain(rule, cause);
  }

  #complain({ name }: RuleConfig, cause: string): void {
    const skipped = this.#limit.take(name);
    if (skipped !== null) this.#log.warn({ stream: this.#streamId, rule: name, cause, skipped }, 'a frame was not saved');
  }
}

const isPicture = (what: RuleConfig['save'][number]): boolean => what === 'snapshot' || what === 'clean_snapshot';
