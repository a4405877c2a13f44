import { codeOf, FramebusError, messageOf } from '../../../lib/errors.js';
import type { EventsConfig } from '../../../lib/config.js';
import type { Log } from '../../../lib/log.js';
import { LogLimit } from '../../../lib/log_limit.js';
import type { Addon, ClipCache, Output } from '../../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { EventEnd, EventSource, type RecordedEvent } from '#proto/framebus/recording/v1/recorded_event.js';
import type { OutputRecorder } from '../recording/output_recorder.js';
import { recordLine } from '../recording/record_line.js';
import type { OutputRecording } from '../recording/stream_recording.js';
import { EventClip } from './event_clip.js';
import type { EventClock } from './event_clock.js';
import { EventRule, LAPSE_MS } from './event_rule.js';
import { FrameCaptures, type CaptureTotals } from './frame_captures.js';

/** Events of a stream that may go on together. */
const MOST_EVENTS = 32;
/** Events of a clip: what comes beyond begins another one. */
const MOST_IN_CLIP = 500;
/** Events that are over and still known by name. */
const REMEMBERED = 64;

export interface StreamEventsOptions extends Omit<EventsConfig, 'enabled' | 'keepMs'> {
  streamId: string;
  /** Absolute. */
  folder: string;
}

export interface EventStart {
  /** Empty: one is made up. */
  event: string;
  source: EventSource;
  reason: string;
  /** null: that of the configuration. */
  preRollMs: number | null;
  /** 0: until it is stopped. */
  durationMs: number;
}

/** An event that goes on, or its post-roll. */
interface RunningEvent {
  message: RecordedEvent;
  clip: EventClip;
  /** Monotonic; ends by itself then, for this reason. */
  endsMs: number;
  end: EventEnd;
  /** Monotonic; max_length, beyond which nothing moves `endsMs`. */
  longestMs: number;
  /** Monotonic; null: it goes on. */
  endedMs: number | null;
}

export interface KnownEvent {
  message: Readonly<RecordedEvent>;
  clip: EventClip;
  /** When its post-roll ends, or has. */
  endsUnixMs: number;
}

export interface EventTotals extends CaptureTotals {
  /** Events that have started, by source. */
  events: ReadonlyMap<EventSource, number>;
  bytes: number;
  droppedGops: number;
  failures: number;
  cacheBytes: number;
}

/**
 * The events of one stream: a cache of its latest encoded pictures, the clips that are recorded
 * while events go on, and the rules that start some. Overlapping events have one clip, unless it
 * has got too long to take up another one.
 */
export class StreamEvents implements OutputRecorder {
  readonly #options: StreamEventsOptions;
  readonly #addon: Pick<Addon, 'createClipCache'>;
  readonly #log: Log;
  readonly #clock: EventClock;
  readonly #limit = new LogLimit();
  readonly #rules: readonly EventRule[];
  readonly #captures: FrameCaptures;
  readonly #running = new Map<string, RunningEvent>();
  /** By name, oldest first. */
  readonly #past = new Map<string, KnownEvent>();
  /** That are recorded, and since when; events join the last one. */
  readonly #clips = new Map<EventClip, number>();
  readonly #ending = new Set<EventClip>();
  readonly #started = new Map<EventSource, number>();
  readonly #totals = { bytes: 0, droppedGops: 0, failures: 0 };
  /** Of the output that there is now. */
  #cache: ClipCache | null = null;
  #timer: NodeJS.Timeout | null = null;
  #number = 0;
  #closed = false;

  constructor(options: StreamEventsOptions, addon: Pick<Addon, 'createClipCache'>, log: Log, clock: EventClock) {
    this.#options = options;
    this.#addon = addon;
    this.#log = log;
    this.#clock = clock;
    this.#rules = options.rules.map((rule) => new EventRule(rule));
    this.#captures = new FrameCaptures(options.streamId, options.folder, log, clock);
  }

  attach(output: Output): OutputRecording | null {
    const { preRollMs, cacheBytes } = this.#options;
    try {
      const cache = this.#addon.createClipCache(output, { preRollMs, maxBytes: BigInt(cacheBytes) });
      this.#cache = cache;
      // What goes on is recorded from the new output, too.
      for (const clip of this.#clips.keys()) clip.record(cache, 0);
      return {
        // Clips leave out what a slow disk does not take.
        hasRoom: () => true,
        expect: (number, record) => {
          cache.expect(number, record.epoch?.uuid ?? '', recordLine(record));
          this.#captures.expect(output, number, record);
        },
        close: () => {
          if (this.#cache === cache) this.#cache = null;
          cache.close();
          return Promise.resolve();
        },
      };
    } catch (error) {
      this.#complain(codeOf(error) ?? 'RECORDING_FAILED', messageOf(error));
      return null;
    }
  }

  /** Every record of the stream, in order, before its picture is pushed. */
  see(record: DetectionRecord): void {
    // Before the stream's first picture there is nothing to record; what holds then begins with the next frame.
    if (this.#closed || this.#cache === null) return;
    const nowMs = this.#clock.nowMs();
    for (const rule of this.#rules) {
      const verdict = rule.see(record, nowMs);
      const { name, save } = rule.config;
      const running = this.#running.get(name);
      if (verdict === 'begins') {
        this.#captures.want(record, rule.config);
        if (save.includes('clip')) this.#startByRule(name);
      } else if (running?.message.source === EventSource.EVENT_SOURCE_RULE && running.endedMs === null) {
        this.#prolong(running, verdict, nowMs);
      }
    }
  }

  /**
   * An event begins, or goes on; what is recorded is known by its clip. Throws STREAM_NO_PICTURE,
   * EVENTS_FULL.
   */
  start(start: EventStart): KnownEvent {
    const name = start.event === '' ? this.#freeName() : start.event;
    const known = this.#running.get(name);
    if (known !== undefined) {
      if (known.endedMs !== null) this.#resume(known, start);
      return this.#known(known);
    }
    if (this.#running.size >= MOST_EVENTS) {
      throw new FramebusError('EVENTS_FULL', `stream "${this.#options.streamId}": ${MOST_EVENTS} events go on already`);
    }
    const clip = this.#joinable() ?? this.#begin(start.preRollMs);
    const message: RecordedEvent = {
      event: name,
      source: start.source,
      reason: start.reason,
      startedUnixNs: BigInt(this.#clock.unixMs()) * 1_000_000n,
      endedUnixNs: 0n,
      end: EventEnd.EVENT_END_UNSPECIFIED,
    };
    const running: RunningEvent = { message, clip, ...this.#ends(start.durationMs), endedMs: null };
    this.#past.delete(name);
    this.#running.set(name, running);
    this.#started.set(start.source, (this.#started.get(start.source) ?? 0) + 1);
    clip.events.push(message);
    clip.note();
    this.#schedule();
    this.#log.info({ stream: this.#options.streamId, event: name, preRollMs: clip.preRollMs }, 'an event is recorded');
    return this.#known(running);
  }

  /** An event is over. Throws EVENT_NOT_FOUND. */
  stop(name: string): KnownEvent {
    const running = this.#running.get(name);
    if (running !== undefined) {
      if (running.endedMs === null) this.#finish(running, EventEnd.EVENT_END_STOPPED);
      this.#schedule();
      return this.#known(running);
    }
    const past = this.#past.get(name);
    if (past !== undefined) return past;
    throw new FramebusError('EVENT_NOT_FOUND', `stream "${this.#options.streamId}": no event "${name}" goes on, nor has not long ago`);
  }

  /** Files that may still be written to. */
  files(): string[] {
    return [...this.#ending, ...this.#clips.keys()].flatMap((clip) => clip.written);
  }

  totals(): EventTotals {
    const totals = { ...this.#totals };
    for (const clip of [...this.#ending, ...this.#clips.keys()]) add(totals, clip);
    return { ...totals, ...this.#captures.totals(), events: this.#started, cacheBytes: this.#cache?.stats().bytes ?? 0 };
  }

  /** After the outputs: finishes what is recorded. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    for (const running of this.#running.values()) {
      if (running.endedMs === null) this.#finish(running, EventEnd.EVENT_END_CLOSED);
    }
    this.#running.clear();
    this.#endClips();
    await Promise.all([...this.#ending].map((clip) => clip.end()));
    await this.#captures.close();
  }

  #startByRule(name: string): void {
    try {
      this.start({ event: name, source: EventSource.EVENT_SOURCE_RULE, reason: '', preRollMs: null, durationMs: 0 });
    } catch (error) {
      this.#complain(codeOf(error) ?? 'RECORDING_FAILED', messageOf(error));
    }
  }

  /** A rule that does not hold any more ends its event. */
  #prolong(running: RunningEvent, verdict: ReturnType<EventRule['see']>, nowMs: number): void {
    const isLapsing = running.end === EventEnd.EVENT_END_STOPPED;
    if (verdict === 'holds' && isLapsing) {
      Object.assign(running, { endsMs: running.longestMs, end: EventEnd.EVENT_END_MAX_LENGTH });
    } else if (verdict === 'misses' && !isLapsing && nowMs + LAPSE_MS < running.longestMs) {
      Object.assign(running, { endsMs: nowMs + LAPSE_MS, end: EventEnd.EVENT_END_STOPPED });
      this.#schedule();
    }
  }

  #joinable(): EventClip | null {
    const [clip, begunMs] = [...this.#clips].at(-1) ?? [];
    if (clip === undefined || begunMs === undefined) return null;
    const isFull = clip.events.length >= MOST_IN_CLIP || this.#clock.nowMs() - begunMs >= this.#options.maxLengthMs;
    return isFull ? null : clip;
  }

  #begin(preRollMs: number | null): EventClip {
    const { streamId, preRollMs: longest } = this.#options;
    if (this.#cache === null || this.#closed) throw new FramebusError('STREAM_NO_PICTURE', `stream "${streamId}": no picture yet`);
    const clip = new EventClip(this.#options, this.#log, this.#limit);
    clip.record(this.#cache, Math.min(preRollMs ?? longest, longest));
    this.#clips.set(clip, this.#clock.nowMs());
    return clip;
  }

  #ends(durationMs: number): Pick<RunningEvent, 'endsMs' | 'end' | 'longestMs'> {
    const { maxLengthMs } = this.#options;
    const nowMs = this.#clock.nowMs();
    const longestMs = nowMs + maxLengthMs;
    return durationMs > 0 && durationMs < maxLengthMs
      ? { endsMs: nowMs + durationMs, end: EventEnd.EVENT_END_DURATION, longestMs }
      : { endsMs: longestMs, end: EventEnd.EVENT_END_MAX_LENGTH, longestMs };
  }

  /** Its post-roll was still recorded. */
  #resume(running: RunningEvent, { durationMs }: EventStart): void {
    Object.assign(running, this.#ends(durationMs), { endedMs: null });
    running.message.endedUnixNs = 0n;
    running.message.end = EventEnd.EVENT_END_UNSPECIFIED;
    running.clip.note();
    this.#schedule();
  }

  #finish(running: RunningEvent, end: EventEnd): void {
    running.endedMs = this.#clock.nowMs();
    running.message.endedUnixNs = BigInt(this.#clock.unixMs()) * 1_000_000n;
    running.message.end = end;
    running.clip.note();
  }

  /** Ends what is due, and clips with their last event. */
  #tick(): void {
    const nowMs = this.#clock.nowMs();
    for (const [name, running] of this.#running) {
      if (running.endedMs === null && running.endsMs <= nowMs) this.#finish(running, running.end);
      if (running.endedMs === null || nowMs < this.#overMs(running)) continue;
      this.#running.delete(name);
      this.#remember(name, this.#known(running));
    }
    this.#endClips();
    this.#schedule();
  }

  #remember(name: string, event: KnownEvent): void {
    this.#past.set(name, event);
    const [oldest] = this.#past.keys();
    if (this.#past.size > REMEMBERED && oldest !== undefined) this.#past.delete(oldest);
  }

  /** Those that no event needs any more. */
  #endClips(): void {
    const needed = new Set([...this.#running.values()].map(({ clip }) => clip));
    for (const clip of this.#clips.keys()) {
      if (needed.has(clip)) continue;
      this.#clips.delete(clip);
      this.#ending.add(clip);
      void clip.end().then(() => {
        this.#ending.delete(clip);
        add(this.#totals, clip);
      });
    }
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#running.size === 0 || this.#closed) return;
    const dueMs = Math.min(...[...this.#running.values()].map((running) => (running.endedMs === null ? running.endsMs : this.#overMs(running))));
    this.#timer = setTimeout(
      () => {
        this.#tick();
      },
      Math.max(1, Math.ceil(dueMs - this.#clock.nowMs())),
    );
  }

  /** When the post-roll is over. */
  #overMs({ endedMs, endsMs }: RunningEvent): number {
    return (endedMs ?? endsMs) + this.#options.postRollMs;
  }

  #known(running: RunningEvent): KnownEvent {
    const leftMs = this.#overMs(running) - this.#clock.nowMs();
    return { message: running.message, clip: running.clip, endsUnixMs: Math.round(this.#clock.unixMs() + leftMs) };
  }

  #freeName(): string {
    let name: string;
    do name = `event-${String(++this.#number)}`;
    while (this.#running.has(name) || this.#past.has(name));
    return name;
  }

  #complain(code: string, cause: string): void {
    const skipped = this.#limit.take(code);
    if (skipped !== null) this.#log.error({ stream: this.#options.streamId, code, cause, skipped }, 'an event is not recorded');
  }
}

function add(totals: { bytes: number; droppedGops: number; failures: number }, clip: EventClip): void {
  for (const { bytes, droppedGops, failures } of clip.stats()) {
    totals.bytes += bytes;
    totals.droppedGops += droppedGops;
    totals.failures += failures;
  }
}
