import { expect, onTestFinished, test } from 'vitest';
import type { FrameFormat, FrameLease, Output } from '../../../native/contract.js';
import { StreamOutput } from '../../../services/sink/stream_output.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { eventually } from '../../helpers/eventually.js';

const FORMAT: FrameFormat = {
  width: 64,
  height: 48,
  pixelFormat: 'I420',
  matrix: 'bt709',
  range: 'limited',
  frameRateNumerator: 25,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
};
const ENCODE = { codec: 'h264', encoder: 'auto', rateControl: 'cbr', bitrateKbps: 1000, maxBitrateKbps: 0, quality: 0, preset: 'veryfast', keyframeIntervalMs: 1000, threads: 1 } as const;
const OVERLAY = { boxes: [], lines: [], texts: [], points: [], masks: [], concealed: [], lineWidth: 0, fontSize: 0 };

test('a recording that is behind makes the next picture wait, and says when there is room', async () => {
  let hasRoom = true;
  let rooms = 0;
  const pushed: bigint[] = [];
  const output = {
    push: (_lease: number, seq: bigint) => {
      pushed.push(seq);
      return 'queued';
    },
    close: () => Promise.resolve(),
  } as unknown as Output;
  const listener = {
    encoded: () => undefined,
    dropped: () => undefined,
    failed: () => undefined,
    replaced: () => undefined,
    room: () => {
      rooms += 1;
    },
  };
  const recording = { hasRoom: () => hasRoom, expect: () => undefined, close: () => Promise.resolve() };
  const rtsp = { mount: () => undefined, unmount: () => undefined };
  const stream = new StreamOutput('gate', ENCODE, { createOutput: () => output }, rtsp, listener, () => performance.now(), { attach: () => recording });
  onTestFinished(() => stream.close());
  const lease = { id: 1, format: FORMAT } as FrameLease;
  const push = (): string => stream.push({ lease, record: DetectionRecord.fromPartial({}), overlay: OVERLAY, decodedMonotonicNs: 0n });

  expect(push()).toBe('queued');
  hasRoom = false;
  expect(push()).toBe('full');
  await eventually('it is asked again', () => rooms > 0);
  hasRoom = true;
  expect(push()).toBe('queued');
  expect(pushed).toEqual([0n, 1n]);
});
