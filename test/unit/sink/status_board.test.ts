import { describe, expect, it } from 'vitest';
import { StatusBoard } from '../../../services/sink/status_board.js';
import { ServiceStatus, StreamState } from '#proto/framebus/status/v1/status.js';

const SECOND = 1_000_000_000n;

const ingest = (second: number, framesIn: number, extra: object = {}) =>
  ServiceStatus.fromPartial({
    service: 'ingest',
    instance: 'ingest-0',
    unixNs: BigInt(second) * SECOND,
    cpuSeconds: second,
    streams: [
      {
        streamId: 'gate',
        state: StreamState.STREAM_STATE_PLAYING,
        width: 640,
        height: 480,
        framesIn: BigInt(framesIn),
        ...extra,
      },
    ],
  });

const sink = (second: number, framesOut: number, extra: object = {}) =>
  ServiceStatus.fromPartial({
    service: 'sink',
    instance: 'sink-0',
    unixNs: BigInt(second) * SECOND,
    cpuSeconds: second,
    streams: [
      {
        streamId: 'gate',
        framesIn: BigInt(framesOut),
        framesOut: BigInt(framesOut),
        framesInferred: BigInt(framesOut / 2),
        latency: { p50Ms: 40, p99Ms: 90 },
        detections: { person: 7n },
        ...extra,
      },
    ],
  });

describe('StatusBoard', () => {
  it('makes one line of what the services say', () => {
    const clock = { ms: 0 };
    const board = new StatusBoard(() => clock.ms);
    board.hear(ingest(1, 30));
    board.hear(sink(1, 20));
    board.hear(ingest(2, 60, { drops: { superseded: 4n, pool_exhausted: 1n } }));
    board.hear(sink(2, 44, { drops: { superseded: 3n, late: 2n } }));
    expect(board.streams()).toEqual([
      {
        id: 'gate',
        state: 'PLAYING',
        reason: '',
        width: 640,
        height: 480,
        framesIn: 60,
        framesInferred: 22,
        framesOut: 44,
        fpsIn: 30,
        fpsInferred: 12,
        fpsOut: 24,
        latency: { p50Ms: 40, p99Ms: 90 },
        drops: { superseded: 4, pool_exhausted: 1, late: 2 },
        detections: { person: 7 },
      },
    ]);
  });

  it('forgets a service that was not heard for five seconds', () => {
    const clock = { ms: 0 };
    const board = new StatusBoard(() => clock.ms);
    board.hear(ingest(1, 30));
    clock.ms = 5000;
    board.hear(sink(5, 20));
    expect(board.services().map((s) => s.service)).toEqual(['ingest', 'sink']);
    clock.ms = 5001;
    expect(board.services().map((s) => s.service)).toEqual(['sink']);
  });

  it('shows no rate across a restart', () => {
    const board = new StatusBoard(() => 0);
    board.hear(sink(100, 1000));
    board.hear(sink(1, 10));
    expect(board.streams()[0]?.fpsOut).toBe(0);
    board.hear(sink(2, 40));
    expect(board.streams()[0]?.fpsOut).toBe(30);
  });
});
