import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FrameLease } from '../../../native/contract.js';
import { HeldOverlay } from '../../../services/sink/held_overlay.js';
import { LaterLease, Stream, type Received, type SinkDrop } from '../../../services/sink/stream.js';
import type { Picture } from '../../../services/sink/stream_output.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';

const FORMAT = {
  width: 64,
  height: 48,
  pixelFormat: 'I420',
  matrix: 'bt601',
  range: 'limited',
  frameRateNumerator: 10,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
} as const;

class Lease implements FrameLease {
  readonly format = FORMAT;
  readonly memory = 'shm';
  released = 0;
  constructor(
    readonly id: number,
    public alive = true,
  ) {}
  planes() {
    return [];
  }
  download() {
    return Promise.resolve([]);
  }
  valid() {
    return this.alive;
  }
  release() {
    this.released++;
  }
}

/** A stream with an encoder that has `room` places and finishes pictures when told. */
function rig(options: { lossless?: boolean; room?: number; windowFrames?: number } = {}) {
  const records: DetectionRecord[] = [];
  const pushed: Picture[] = [];
  const drops: Partial<Record<SinkDrop, number>> = {};
  const state = { received: 0, encoded: 0, inEncoder: 0, room: options.room ?? Infinity, broken: false };
  const leases: Lease[] = [];
  const stream = new Stream(
    {
      windowFrames: options.windowFrames ?? 4,
      deadlineMs: 100,
    },
    {
      received: () => state.received++,
      encoded: () => state.encoded++,
      dropped: (reason) => (drops[reason] = (drops[reason] ?? 0) + 1),
    },
    {
      push: (picture) => {
        if (state.broken) return 'failed';
        if (state.inEncoder >= state.room) return 'full';
        state.inEncoder++;
        pushed.push(picture);
        return 'queued';
      },
      abandon: () => false,
      snapshot: () => Promise.resolve(null),
      openViewer: () => null,
      close: () => Promise.resolve(),
    },
    (record) => records.push(record),
    { monotonicNs: () => 5_000_000n, nowMs: () => Date.now(), unixNs: () => 0n },
    null,
    new HeldOverlay({ color: 'class', label: ['name', 'confidence'] }),
  );
  /** Of a lossless stream: leased when it is its turn, while one lease may be held. */
  const later = (lease: Lease): LaterLease =>
    new LaterLease(() => {
      if (leases.some(({ released }) => released === 0)) return 'quota';
      leases.push(lease);
      return lease;
    });
  const receive = (seq: number, lease: Lease | null = new Lease(seq + 1)) => {
    if (options.lossless === true && lease !== null) {
      stream.receive({ ...received(seq), lease: later(lease) });
    } else {
      if (lease) leases.push(lease);
      stream.receive({ ...received(seq), lease });
    }
  };
  const finish = (count: number) => {
    state.inEncoder -= count;
    state.encoded += count;
    stream.resume();
  };
  const balance = () =>
    state.received - state.encoded - Object.values(drops).reduce((a, b) => a + b, 0);
  return { stream, records, pushed, drops, state, leases, receive, finish, balance };
}

function received(seq: number): Omit<Received, 'lease'> {
  const frame = FrameDescriptor.fromPartial({
    streamId: 'gate',
    epoch: { uuid: 'e', createdUnixNs: 1n },
    seq: BigInt(seq),
    ptsNs: BigInt(seq) * 100_000_000n,
    decodedMonotonicNs: 1_000_000n,
    format: { width: 64, height: 48 },
  });
  const result = ResultMessage.fromPartial({
    frame,
    status: InferenceStatus.INFERENCE_STATUS_INFERRED,
    model: 'm',
    detections: [
      { box: { x: 1, y: 2, width: 3, height: 4 }, classId: 0, label: 'person', confidence: 0.9 },
    ],
  });
  return { result, frame };
}

describe('Stream', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('records and draws in order, and releases every lease once', () => {
    const { receive, records, pushed, leases } = rig();
    for (const seq of [0, 2, 1, 3]) receive(seq);
    expect(records.map((r) => Number(r.seq))).toEqual([0, 1, 2, 3]);
    expect(records[0]).toMatchObject({ streamId: 'gate', width: 64, latencyNs: 4_000_000n });
    expect(pushed.map((p) => p.overlay.boxes[0]?.label)).toEqual(Array(4).fill('person 90 %'));
    expect(pushed.map((p) => p.lease.id)).toEqual([1, 2, 3, 4]);
    expect(leases.map((l) => l.released)).toEqual([1, 1, 1, 1]);
  });

  it('gives a gap up at its deadline and counts what comes after as late', () => {
    const { receive, records, drops, leases, finish, balance } = rig();
    receive(0);
    receive(2);
    vi.advanceTimersByTime(99);
    expect(records).toHaveLength(1);
    vi.advanceTimersByTime(5);
    expect(records.map((r) => Number(r.seq))).toEqual([0, 2]);
    receive(1);
    receive(2);
    expect(drops).toEqual({ late: 1, duplicate: 1 });
    expect(leases.every((l) => l.released === 1)).toBe(true);
    finish(2);
    expect(balance()).toBe(0);
  });

  it('records a frame whose picture is gone', () => {
    const { receive, records, drops, pushed } = rig();
    receive(0, null);
    receive(1, new Lease(9, false));
    receive(2);
    expect(records.map((r) => Number(r.seq))).toEqual([0, 1, 2]);
    expect(drops).toEqual({ stale: 2 });
    expect(pushed).toHaveLength(1);
  });

  it('drops pictures of a live stream when the encoder is full', () => {
    const { receive, records, drops, finish, leases, balance } = rig({ room: 2 });
    for (const seq of [0, 1, 2, 3]) receive(seq);
    expect(records).toHaveLength(4);
    expect(drops).toEqual({ encoder_full: 2 });
    expect(leases.every((l) => l.released === 1)).toBe(true);
    finish(2);
    expect(balance()).toBe(0);
  });

  it('waits for the encoder when the stream is lossless', () => {
    const { receive, pushed, drops, finish, leases, balance } = rig({ room: 1, lossless: true });
    for (const seq of [0, 1, 2, 3]) receive(seq);
    expect(pushed).toHaveLength(1);
    expect(leases.map((l) => l.released)).toEqual([1, 0]);
    for (let i = 0; i < 4; i++) finish(1);
    expect(pushed.map((p) => Number(p.record.seq))).toEqual([0, 1, 2, 3]);
    expect(drops).toEqual({});
    expect(balance()).toBe(0);
  });

  it('leases a lossless frame when its turn comes, so that the one before finds a place', () => {
    const { receive, pushed, drops, leases } = rig({ lossless: true });
    for (const seq of [0, 3, 2]) receive(seq);
    expect(leases.map((l) => l.id)).toEqual([1]);
    receive(1);
    expect(leases.map((l) => l.id)).toEqual([1, 2, 3, 4]);
    expect(pushed.map((p) => Number(p.record.seq))).toEqual([0, 1, 2, 3]);
    expect(drops).toEqual({});
  });

  it('counts pictures that no encoder took', () => {
    const { receive, state, drops, leases } = rig();
    state.broken = true;
    receive(0);
    expect(drops).toEqual({ encoder_failed: 1 });
    expect(leases[0]?.released).toBe(1);
  });

  it('balances its books through a close with frames in the window and waiting', async () => {
    const { stream, receive, records, drops, finish, balance, leases } = rig({
      room: 1,
      lossless: true,
    });
    for (const seq of [0, 1, 3, 5]) receive(seq);
    const closed = stream.close();
    expect(records.map((r) => Number(r.seq))).toEqual([0, 1, 3, 5]);
    for (let i = 0; i < 4; i++) finish(1);
    await closed;
    await stream.close();
    expect(drops).toEqual({});
    expect(balance()).toBe(0);
    expect(leases.every((l) => l.released === 1)).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends all the same when the encoder hangs', async () => {
    const { stream, receive, drops, finish, balance, leases } = rig({ room: 1, lossless: true });
    for (const seq of [0, 1, 2]) receive(seq);
    const closed = stream.close();
    await vi.advanceTimersByTimeAsync(2000);
    await closed;
    expect(drops).toEqual({ encoder_full: 2 });
    finish(1);
    expect(balance()).toBe(0);
    expect(leases.every((l) => l.released === 1)).toBe(true);
  });
});
