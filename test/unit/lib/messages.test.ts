import { describe, expect, test } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor, FrameMessage } from '#proto/framebus/frame/v1/frame.js';
import {
  decodeDesiredModel,
  decodeDesiredStream,
  decodeFrame,
  decodeRecord,
  decodeResult,
  decodeStatus,
  encodeDesiredModel,
  encodeFrame,
  encodeResult,
} from '../../../lib/messages.js';
import { SCHEMA_VERSION } from '../../../lib/subjects.js';

const frame = FrameDescriptor.fromPartial({
  streamId: 'gate',
  producer: 'ingest-0',
  epoch: { uuid: 'ab'.repeat(16), createdUnixNs: 1_763_000_000_123_456_789n },
  slot: 3,
  generation: 18_446_744_073_709_551_615n,
  seq: 9_007_199_254_740_993n,
  ptsNs: -1n,
  decodedMonotonicNs: 5n,
});

describe('a message', () => {
  test('comes back as it was, 64-bit numbers to the last bit', () => {
    const message = decodeFrame(encodeFrame({ frame, model: 'ssd' }));
    expect(message).toEqual({ schemaVersion: SCHEMA_VERSION, frame, model: 'ssd' });
  });

  test('carries the version although the sender does not say it', () => {
    const result = decodeResult(
      encodeResult({
        frame,
        status: InferenceStatus.INFERENCE_STATUS_SKIPPED,
        reason: '',
        model: '',
        detections: [],
        times: undefined,
        batchSize: 0,
        classifications: [],
        masks: [],
        tensors: [],
        weakDetections: [],
      }),
    );
    expect(result.schemaVersion).toBe(1);
    expect(result.status).toBe(InferenceStatus.INFERENCE_STATUS_SKIPPED);
  });

  test('what shall serve a name comes back', () => {
    const data = encodeDesiredModel({ manifest: 'yolox-nano-416', pinned: true });
    expect(decodeDesiredModel(data)).toEqual({ schemaVersion: SCHEMA_VERSION, manifest: 'yolox-nano-416', pinned: true });
  });

  test('of another version is refused, with both numbers', () => {
    const data = FrameMessage.encode({ schemaVersion: 7, frame, model: 'ssd' }).finish();
    expect(() => decodeFrame(data)).toThrow(
      expect.objectContaining({ code: 'MESSAGE_VERSION', message: 'FrameMessage: schema version 7, this program knows 1' }),
    );
  });

  test('that is cut short is refused', () => {
    const data = encodeFrame({ frame, model: 'ssd' });
    for (let length = 0; length < data.length - 5; length++) {
      const cut = (): unknown => decodeFrame(data.subarray(0, length));
      // At the end of a field a cut cannot be seen; everywhere else it is.
      try {
        expect(cut()).toMatchObject({ schemaVersion: SCHEMA_VERSION });
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^MESSAGE_/) as string });
      }
    }
    expect(() => decodeFrame(data.subarray(0, 20))).toThrow(expect.objectContaining({ code: 'MESSAGE_MALFORMED' }));
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['text', Buffer.from('hello world')],
    ['bytes of ones', new Uint8Array(64).fill(255)],
  ])('%s is no message of any kind', (_what, data) => {
    for (const decode of [decodeFrame, decodeResult, decodeRecord, decodeStatus, decodeDesiredStream, decodeDesiredModel]) {
      expect(() => decode(data)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^MESSAGE_/) as string }));
    }
  });
});
