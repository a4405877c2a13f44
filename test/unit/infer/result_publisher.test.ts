import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Counters } from '../../../lib/counters.js';
import { decodeResult } from '../../../lib/messages.js';
import { noFindings, type FrameFindings } from '../../../services/infer/frame_findings.js';
import { ResultPublisher } from '../../../services/infer/result_publisher.js';
import { DataType } from '#proto/framebus/detection/v1/raw_tensor.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { decoderManifest } from '../../helpers/decoding.js';

const manifest = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face', 3: 'hat' } });
const frame = FrameDescriptor.fromPartial({ streamId: 'gate', seq: 7n });
const times = { startedNs: 1n, preprocessedNs: 2n, inferredNs: 3n, decodedNs: 4n };

/** No secondary model has looked. */
const NO_MORE = { attributes: [], parts: [], model: '', trackId: 0n, predicted: false, lookedBy: [] };

/** What reaches sink of a frame. */
function published(rows: number[], findings: Partial<FrameFindings>, mostBytes = 1 << 20, counters = new Counters('infer', new Registry())): ResultMessage {
  const sent: ResultMessage[] = [];
  const nats = {
    info: { max_payload: mostBytes } as never,
    publish: (_subject: string, data?: Uint8Array | string) => void sent.push(decodeResult(data as Uint8Array)),
    flush: () => Promise.resolve(),
  };
  const publisher = new ResultPublisher(nats, 'm', (stream) => counters.stream(stream));
  publisher.inferred({ frame, manifest, refinement: null, rows: Float32Array.from(rows), findings: { ...noFindings(), ...findings }, leasedNs: 1n, times, batchSize: 2 });
  expect(sent).toHaveLength(1);
  return sent[0] as ResultMessage;
}

describe('ResultPublisher', () => {
  it('names what was seen, and gives each box its landmarks', () => {
    const landmarks = Float32Array.of(1, 2, 3, 4, NaN, NaN, NaN, NaN);
    const result = published([1, 2, 3, 4, 0.5, 0, 5, 6, 7, 8, 0.25, 3], { landmarks });
    expect(result).toMatchObject({ model: 'm', batchSize: 2, status: InferenceStatus.INFERENCE_STATUS_INFERRED, times: { leasedNs: 1n, ...times } });
    expect(result.times?.publishedNs).toBeGreaterThan(4n);
    expect(result.detections).toEqual([
      { box: { x: 1, y: 2, width: 3, height: 4 }, classId: 0, label: 'face', confidence: 0.5, landmarks: [{ x: 1, y: 2 }, { x: 3, y: 4 }], ...NO_MORE },
      { box: { x: 5, y: 6, width: 7, height: 8 }, classId: 3, label: 'hat', confidence: 0.25, landmarks: [], ...NO_MORE },
    ]);
  });

  it('sends what is for the tracker alone apart, and does not count it', () => {
    const counters = new Counters('infer', new Registry());
    const weak = { rows: Float32Array.of(5, 6, 7, 8, 0.25, 3), landmarks: Float32Array.of(1, 2) };
    const result = published([1, 2, 3, 4, 0.5, 0], { weak }, undefined, counters);
    expect(result.detections.map(({ label }) => label)).toEqual(['face']);
    expect(result.weakDetections).toEqual([{ box: { x: 5, y: 6, width: 7, height: 8 }, classId: 3, label: 'hat', confidence: 0.25, landmarks: [{ x: 1, y: 2 }], ...NO_MORE }]);
    expect(counters.statuses()[0]?.detections).toEqual({ face: 1n });
  });

  it('carries classes, masks and tensors', () => {
    const area = { x: 0, y: -1, width: 8, height: 9 };
    const result = published([], {
      classes: [{ classIndex: 3, score: 0.75 }],
      masks: [{ classIndex: 0, width: 2, height: 3, area, runs: [0, 1, 4, 1], cells: 2 }],
      tensors: [{ name: 't', type: 'int64', dims: [2, 1], bytes: Uint8Array.from({ length: 16 }, (_, index) => index) }],
    });
    expect(result.classifications).toEqual([{ classId: 3, label: 'hat', confidence: 0.75 }]);
    expect(result.masks).toEqual([{ classId: 0, label: 'face', width: 2, height: 3, area, runs: [0, 1, 4, 1], cells: 2 }]);
    const [tensor] = result.tensors;
    expect(tensor).toMatchObject({ name: 't', type: DataType.DATA_TYPE_INT64, shape: [2, 1] });
    expect([...(tensor?.data ?? [])]).toEqual(Array.from({ length: 16 }, (_, index) => index));
  });

  it('hands a frame on un-inferred, with the reason, and counts it by that', () => {
    const sent: ResultMessage[] = [];
    const nats = { publish: (_subject: string, data?: Uint8Array | string) => void sent.push(decodeResult(data as Uint8Array)), flush: () => Promise.resolve() };
    const counters = new Counters('infer', new Registry());
    const publisher = new ResultPublisher(nats, 'm', (stream) => counters.stream(stream));
    publisher.failed(frame, 5n, 'no memory');
    publisher.expired(frame, 6n, 'too late');
    const { INFERENCE_STATUS_FAILED: failed, INFERENCE_STATUS_EXPIRED: expired } = InferenceStatus;
    expect(sent).toMatchObject([
      { status: failed, reason: 'no memory', model: 'm', frame: { seq: 7n }, times: { leasedNs: 5n, startedNs: 0n } },
      { status: expired, reason: 'too late', model: 'm', frame: { seq: 7n }, times: { leasedNs: 6n, startedNs: 0n } },
    ]);
    expect(sent.every((result) => (result.times?.publishedNs ?? 0n) > 0n)).toBe(true);
    expect(counters.stream('gate').status()).toMatchObject({ framesOut: 2n, framesInferred: 0n, drops: { failed: 1n, expired: 1n } });
  });

  it('says so instead when the result is larger than a message', () => {
    const runs = Array.from({ length: 900 }, () => 1);
    const masks = [{ classIndex: 0, width: 30, height: 30, area: { x: 0, y: 0, width: 1, height: 1 }, runs, cells: 450 }];
    const result = published([], { masks }, 900);
    expect(result).toMatchObject({ status: InferenceStatus.INFERENCE_STATUS_FAILED, masks: [], frame: { seq: 7n } });
    expect(result.reason).toMatch(/^the result has 9\d\d bytes, NATS takes 900$/);
  });
});
