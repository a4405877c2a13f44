import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../lib/config.js';
import { Counters } from '../../../lib/counters.js';
import { createMetrics } from '../../../lib/metrics.js';
import { streamBooks, streamOptions } from '../../../services/sink/streams.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';

const config = parseConfig(
  `streams:
  gate: {source: 'rtsp://camera/1'}
  tight: {source: 'rtsp://camera/2', slots: 4}
  file: {source: '/tmp/clip.avi', mode: lossless, slots: 40}
`,
  '/nowhere/framebus.yaml',
  {},
);
const stream = (id: string) => config.streams.find((s) => s.id === id);

describe('streamOptions', () => {
  const reorder = { window: 32, deadlineMs: 1000 };

  it('leaves slots of a live stream to the decoder, the workers and the encoder', () => {
    expect(streamOptions(stream('gate'), reorder, 2)).toEqual({
      windowFrames: 8,
      deadlineMs: 1000,
    });
    expect(streamOptions(stream('tight'), reorder, 2).windowFrames).toBe(2);
    expect(streamOptions(undefined, reorder, 2).windowFrames).toBe(8);
    expect(streamOptions(stream('gate'), { ...reorder, window: 3 }, 2).windowFrames).toBe(3);
  });

  it('waits for every frame of a lossless stream', () => {
    expect(streamOptions(stream('file'), reorder, 2)).toEqual({
      windowFrames: 1024,
      deadlineMs: 30_000,
    });
  });
});

describe('streamBooks', () => {
  it('counts each frame where it belongs', () => {
    const counters = new Counters('sink', createMetrics('sink', 'sink-0')).stream('gate');
    const books = streamBooks(counters);
    const frame = FrameDescriptor.fromPartial({ format: { width: 64, height: 48 } });
    const receive = (status: InferenceStatus, labels: string[]): void => {
      const detections = labels.map((label) => ({ label }));
      books.received(ResultMessage.fromPartial({ frame, status, detections }), frame);
    };
    receive(InferenceStatus.INFERENCE_STATUS_INFERRED, ['person', 'person', 'car']);
    receive(InferenceStatus.INFERENCE_STATUS_SUPERSEDED, []);
    receive(InferenceStatus.INFERENCE_STATUS_FAILED, []);
    books.encoded({ latencyMs: 40, keyframe: true, bytes: 10 });
    books.dropped('late');
    books.dropped('late');
    expect(counters.status()).toMatchObject({
      framesIn: 3n,
      framesInferred: 1n,
      framesOut: 1n,
      width: 64,
      height: 48,
      drops: { superseded: 1n, failed: 1n, late: 2n },
      detections: { person: 2n, car: 1n },
      latency: { p50Ms: 40, p99Ms: 40 },
    });
  });
});
