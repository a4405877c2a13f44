import { join } from 'node:path';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { RecordingsConfig, StreamConfig } from '../../../lib/config.js';
import { FramebusError } from '../../../lib/errors.js';
import type { Log } from '../../../lib/log.js';
import type { Addon } from '../../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { eventSourceToJSON } from '#proto/framebus/recording/v1/recorded_event.js';
import type { RetentionRule } from '../recording/retention.js';
import { StreamEvents } from './stream_events.js';

export interface EventRecordingsParts {
  addon: Pick<Addon, 'createClipCache'>;
  log: Log;
  metrics: Registry;
}

/** The events of all streams that ask for them. */
export class EventRecordings {
  /** How long their files are kept. */
  readonly retention: readonly RetentionRule[];
  readonly #streams = new Map<string, StreamEvents>();

  constructor({ root }: Pick<RecordingsConfig, 'root'>, streams: readonly StreamConfig[], { addon, log, metrics }: EventRecordingsParts) {
    const clock = { nowMs: () => performance.now(), unixMs: () => Date.now() };
    const wanted = streams.filter(({ events }) => events.enabled);
    for (const { id, events } of wanted) {
      const options = { ...events, streamId: id, folder: join(root, events.folder) };
      this.#streams.set(id, new StreamEvents(options, addon, log, clock));
    }
    this.retention = wanted.map(({ events: { folder, keepMs } }) => ({ folder: join(root, folder), keepMs }));
    this.#register(metrics);
  }

  /** Of a stream; null where events are not enabled. */
  of(streamId: string): StreamEvents | null {
    return this.#streams.get(streamId) ?? null;
  }

  /** Of a stream. Throws EVENTS_OFF. */
  require(streamId: string): StreamEvents {
    const events = this.of(streamId);
    if (events !== null) return events;
    throw new FramebusError('EVENTS_OFF', `stream "${streamId}": its events are not recorded`);
  }

  /** Every record, before its picture is pushed. */
  see(record: DetectionRecord): void {
    this.#streams.get(record.streamId)?.see(record);
  }

  /** Files that may still be written to. */
  files(): string[] {
    return [...this.#streams.values()].flatMap((events) => events.files());
  }

  /** After the streams. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#streams.values()].map((events) => events.close()));
  }

  #register(registry: Registry): void {
    const streams = this.#streams;
    const registers = [registry];
    const counters = [
      ['bytes', 'framebus_event_bytes_total', 'Bytes that were recorded for events, sidecars included.'],
      ['droppedGops', 'framebus_event_dropped_gops_total', 'Groups of pictures that are missing in recordings of events, or their ends.'],
      ['failures', 'framebus_event_failures_total', 'How often the recording of an event failed.'],
    ] as const;
    for (const [key, name, help] of counters) {
      new Counter({
        name,
        help,
        labelNames: ['stream'],
        registers,
        collect() {
          this.reset();
          for (const [stream, events] of streams) this.inc({ stream }, events.totals()[key]);
        },
      });
    }
    new Counter({
      name: 'framebus_events_total',
      help: 'Events that were recorded, by what started them: call, message, rule.',
      labelNames: ['stream', 'source'],
      registers,
      collect() {
        this.reset();
        for (const [stream, events] of streams) {
          for (const [source, count] of events.totals().events) {
            this.inc({ stream, source: eventSourceToJSON(source).replace('EVENT_SOURCE_', '').toLowerCase() }, count);
          }
        }
      },
    });
    new Counter({
      name: 'framebus_event_captures_total',
      help: 'Frames that rules wanted to be saved, by outcome: saved, failed, dropped (too many at once).',
      labelNames: ['stream', 'outcome'],
      registers,
      collect() {
        this.reset();
        for (const [stream, events] of streams) {
          for (const [outcome, count] of Object.entries(events.totals().captures)) this.inc({ stream, outcome }, count);
        }
      },
    });
    new Gauge({
      name: 'framebus_event_cache_bytes',
      help: 'Encoded pictures in memory, for clips that begin before their event.',
      labelNames: ['stream'],
      registers,
      collect() {
        for (const [stream, events] of streams) this.set({ stream }, events.totals().cacheBytes);
      },
    });
  }
}
