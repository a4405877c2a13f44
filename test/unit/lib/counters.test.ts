import { describe, expect, test } from 'vitest';
import { StreamState } from '#proto/framebus/status/v1/status.js';
import { Counters, LatencyWindow } from '../../../lib/counters.js';
import { createMetrics } from '../../../lib/metrics.js';

describe('LatencyWindow', () => {
  test('gives nearest-rank quantiles', () => {
    const window = new LatencyWindow();
    for (let ms = 100; ms >= 1; ms--) window.add(ms);
    expect(window.summary()).toEqual({ p50Ms: 50, p99Ms: 99 });
  });

  test('one sample is both quantiles; none is zero', () => {
    const window = new LatencyWindow();
    expect(window.summary()).toEqual({ p50Ms: 0, p99Ms: 0 });
    window.add(7);
    expect(window.summary()).toEqual({ p50Ms: 7, p99Ms: 7 });
  });

  test('forgets what is too old', () => {
    let nowMs = 0;
    const window = new LatencyWindow(5_000, 1_024, () => nowMs);
    window.add(1_000);
    nowMs = 4_000;
    window.add(10);
    expect(window.summary().p99Ms).toBe(1_000);
    nowMs = 5_001;
    expect(window.summary()).toEqual({ p50Ms: 10, p99Ms: 10 });
    nowMs = 60_000;
    expect(window.summary()).toEqual({ p50Ms: 0, p99Ms: 0 });
  });

  test('keeps the newest when there are too many', () => {
    const window = new LatencyWindow(5_000, 4);
    for (const ms of [900, 900, 1, 2, 3, 4]) window.add(ms);
    expect(window.summary()).toEqual({ p50Ms: 2, p99Ms: 4 });
  });
});

describe('Counters', () => {
  const make = () => {
    const registry = createMetrics('sink', 'sink-0');
    return { registry, counters: new Counters('sink', registry) };
  };

  test('count a stream', () => {
    const { counters } = make();
    const gate = counters.stream('gate');
    gate.frameIn(3);
    gate.inferred();
    gate.frameOut(2);
    gate.drop('late');
    gate.drop('late');
    gate.drop('stale', 5);
    gate.detection('person', 4);
    gate.took(12);
    gate.setState(StreamState.STREAM_STATE_RECONNECTING, 'camera is gone');
    gate.setSize(768, 576);
    expect(counters.statuses()).toEqual([
      {
        streamId: 'gate',
        state: StreamState.STREAM_STATE_RECONNECTING,
        reason: 'camera is gone',
        width: 768,
        height: 576,
        framesIn: 3n,
        framesInferred: 1n,
        framesOut: 2n,
        drops: { late: 2n, stale: 5n },
        detections: { person: 4n },
        latency: { p50Ms: 12, p99Ms: 12 },
      },
    ]);
  });

  test('the same stream is the same object', () => {
    const { counters } = make();
    expect(counters.stream('a')).toBe(counters.stream('a'));
    expect(counters.statuses().length).toBe(1);
  });

  test('/metrics gives the same numbers, and again the same when asked twice', async () => {
    const { registry, counters } = make();
    const gate = counters.stream('gate');
    gate.frameIn(3);
    gate.drop('late', 2);
    gate.detection('person', 4);
    gate.took(40);
    gate.setState(StreamState.STREAM_STATE_PLAYING);
    const lines = [
      'framebus_frames_total{stream="gate",stage="sink",outcome="in",service="sink",instance="sink-0"} 3',
      'framebus_frames_total{stream="gate",stage="sink",outcome="late",service="sink",instance="sink-0"} 2',
      'framebus_detections_total{stream="gate",stage="sink",label="person",service="sink",instance="sink-0"} 4',
      'framebus_frame_latency_seconds_bucket{le="0.05",service="sink",instance="sink-0",stream="gate",stage="sink"} 1',
      'framebus_stream_state{stream="gate",service="sink",instance="sink-0"} 2',
    ];
    await registry.metrics();
    const text = await registry.metrics();
    for (const line of lines) expect(text.split('\n')).toContain(line);
    expect(text).toContain('process_cpu_seconds_total');
  });
});
