import type { ServerResponse } from 'node:http';
import { FramebusError } from '../../lib/errors.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { classColor } from './overlay.js';
import { setPageHeaders } from './page_files.js';

/** Least time between two events about the detections of one stream. */
const DETECTIONS_PAUSE_MS = 200;
const MAX_LISTENERS = 64;

/** Server-sent events for the page. A listener that does not keep up misses events, not order. */
export class PageEvents {
  readonly #nowMs: () => number;
  readonly #listeners = new Set<ServerResponse>();
  readonly #lastMs = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Throws VIEWERS_FULL when there are too many listeners. */
  add(response: ServerResponse): void {
    if (this.#listeners.size >= MAX_LISTENERS) {
      throw new FramebusError('VIEWERS_FULL', `page: ${MAX_LISTENERS} browsers listen already`);
    }
    setPageHeaders(response);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 1000\n\n');
    this.#listeners.add(response);
    response.on('close', () => this.#listeners.delete(response));
  }

  send(event: 'status' | 'detections', data: unknown): void {
    if (this.#listeners.size === 0) return;
    const text = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    for (const response of this.#listeners) {
      if (!response.writableNeedDrain) response.write(text);
    }
  }

  /** Tells what was seen in a frame, for a frame that was looked at, now and then. */
  see(record: DetectionRecord): void {
    if (this.#listeners.size === 0 || record.model === '') return;
    const nowMs = this.#nowMs();
    if (nowMs - (this.#lastMs.get(record.streamId) ?? -Infinity) < DETECTIONS_PAUSE_MS) return;
    this.#lastMs.set(record.streamId, nowMs);
    this.send('detections', {
      streamId: record.streamId,
      seq: Number(record.seq),
      captureMs: Number((record.captureTime?.unixNs ?? 0n) / 1_000_000n),
      latencyMs: Math.round(Number(record.latencyNs) / 1e6),
      items: record.detections.map(({ label, confidence, classId }) => ({
        label,
        confidence,
        color: `#${classColor(classId).toString(16).padStart(6, '0')}`,
      })),
    });
  }

  close(): void {
    for (const response of this.#listeners) response.end();
    this.#listeners.clear();
  }
}
