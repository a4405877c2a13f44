import { describe, expect, it } from 'vitest';
import { StreamSummaries } from '../../../services/sink/stream_summary.js';
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

describe('StreamSummaries', () => {
  it('takes the state of a stream from the program that publishes it', () => {
    const summaries = new StreamSummaries(() => 0);
    summaries.hear({ ...ingest(1, 30), service: 'producer', instance: 'synthetic' });
    summaries.hear(sink(1, 20));
    expect(summaries.streams()).toMatchObject([{ id: 'gate', state: 'PLAYING', width: 640, framesIn: 30, framesOut: 20 }]);
  });

  it('makes one line of what the services say', () => {
    const clock = { ms: 0 };
    const summaries = new StreamSummaries(() => clock.ms, (id) => (id === 'gate' ? ['clean'] : []));
    summaries.hear(ingest(1, 30));
    summaries.hear(sink(1, 20));
    summaries.hear(ingest(2, 60, { drops: { superseded: 4n, pool_exhausted: 1n } }));
    const infer = ServiceStatus.fromPartial({ service: 'infer', streams: [{ streamId: 'gate', drops: { stale: 9n } }] });
    summaries.hear(infer);
    summaries.hear(sink(2, 44, { drops: { superseded: 3n, late: 2n } }));
    expect(summaries.streams()).toEqual([
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
        outputs: ['clean'],
      },
    ]);
  });

  it('forgets a service that was not heard for five seconds', () => {
    const clock = { ms: 0 };
    const summaries = new StreamSummaries(() => clock.ms);
    summaries.hear(ingest(1, 30));
    clock.ms = 5000;
    summaries.hear(sink(5, 20));
    expect(summaries.streams()[0]).toMatchObject({ state: 'PLAYING', framesIn: 30 });
    clock.ms = 5001;
    expect(summaries.streams()[0]).toMatchObject({ state: '', framesIn: 20 });
  });

  it('shows no rate across a restart', () => {
    const summaries = new StreamSummaries(() => 0);
    summaries.hear(sink(100, 1000));
    summaries.hear(sink(1, 10));
    expect(summaries.streams()[0]?.fpsOut).toBe(0);
    summaries.hear(sink(2, 40));
    expect(summaries.streams()[0]?.fpsOut).toBe(30);
  });
});
