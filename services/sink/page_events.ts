import type { ServerResponse } from 'node:http';
import { FramebusError } from '../../lib/errors.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { setPageHeaders } from './page_files.js';
import { seenFrame, stagesMs } from './seen_frame.js';

/** Least time between two events about the detections of one stream that is shown alone. */
const ALONE_PAUSE_MS = 200;
/** The same, for a stream among others: thirty of them must not keep a browser busy. */
const AMONG_PAUSE_MS = 1_000;
const MAX_LISTENERS = 64;

/** Server-sent events for the page. A listener that does not keep up misses events, not order. */
export class PageEvents {
  readonly #nowMs: () => number;
  /** Stream that the listener shows alone; null: none. */
  readonly #listeners = new Map<ServerResponse, string | null>();
  readonly #lastMs = { alone: new Map<string, number>(), among: new Map<string, number>() };

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Of the stream that is shown `alone` more is told. Throws VIEWERS_FULL when there are too many listeners. */
  add(response: ServerResponse, alone: string | null = null): void {
    if (this.#listeners.size >= MAX_LISTENERS) {
      throw new FramebusError('VIEWERS_FULL', `page: ${MAX_LISTENERS} browsers listen already`);
    }
    setPageHeaders(response);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 1000\n\n');
    this.#listeners.set(response, alone);
    response.on('close', () => this.#listeners.delete(response));
  }

  send(event: 'status', data: unknown): void {
    this.#tell([...this.#listeners.keys()], event, data);
  }

  /** Tells what was seen in a frame, for a frame that was looked at, now and then. */
  see(record: DetectionRecord): void {
    if (this.#listeners.size === 0 || record.model === '') return;
    const all = [...this.#listeners];
    const alone = all.filter(([, stream]) => stream === record.streamId).map(([response]) => response);
    const among = all.filter(([, stream]) => stream === null).map(([response]) => response);
    if (alone.length > 0 && this.#isDue(record.streamId, 'alone')) {
      this.#tell(alone, 'detections', { ...seenFrame(record), stages: stagesMs(record.stages) });
    }
    if (among.length > 0 && this.#isDue(record.streamId, 'among')) {
      this.#tell(among, 'detections', seenFrame(record));
    }
  }

  close(): void {
    for (const response of this.#listeners.keys()) response.end();
    this.#listeners.clear();
  }

  #isDue(streamId: string, kind: 'alone' | 'among'): boolean {
    const nowMs = this.#nowMs();
    const pauseMs = kind === 'alone' ? ALONE_PAUSE_MS : AMONG_PAUSE_MS;
    if (nowMs - (this.#lastMs[kind].get(streamId) ?? -Infinity) < pauseMs) return false;
    this.#lastMs[kind].set(streamId, nowMs);
    return true;
  }

  #tell(listeners: readonly ServerResponse[], event: string, data: unknown): void {
    if (listeners.length === 0) return;
    const text = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const response of listeners) {
      if (!response.writableNeedDrain) response.write(text);
    }
  }
}
