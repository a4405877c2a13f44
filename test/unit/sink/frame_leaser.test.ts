import { describe, expect, it } from 'vitest';
import type { FrameLease, LeaseRefusal } from '../../../native/contract.js';
import { FrameLeaser, isComplete } from '../../../services/sink/frame_leaser.js';
import { LaterLease } from '../../../services/sink/stream.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';

const LEASE = { id: 1 } as FrameLease;

const frameOf = (seq: number, epoch = 'a') =>
  FrameDescriptor.fromPartial({
    streamId: 'gate',
    producer: 'ingest-0',
    epoch: { uuid: epoch, createdUnixNs: 1n },
    seq: BigInt(seq),
    format: { width: 64, height: 48 },
  });

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A bus whose pools are attached when the test says so. */
function rig() {
  const attached = new Set<string>();
  const attaches: { epoch: string; finish: (error?: Error) => void }[] = [];
  const out: string[] = [];
  const clock = { ms: 0 };
  const refusal: { next: LeaseRefusal | null } = { next: null };
  const counts = { failed: 0, quota: 0 };
  const leaser = new FrameLeaser(
    {
      attach: (_producer, epoch) =>
        new Promise((resolve, reject) => {
          const finish = (error?: Error): void => {
            if (error) reject(error);
            else {
              attached.add(epoch);
              resolve();
            }
          };
          attaches.push({ epoch, finish });
        }),
      lease: (epoch) => {
        if (!attached.has(epoch)) return 'unattached';
        return refusal.next ?? LEASE;
      },
      hold: (epoch) => (attached.has(epoch) ? 4 : 0),
    },
    {
      received: ({ frame, lease }) => {
        const mark = lease instanceof LaterLease ? '~' : lease ? '' : '-';
        out.push(`${frame.epoch?.uuid}${frame.seq}${mark}`);
      },
      attached: () => undefined,
      attachFailed: () => counts.failed++,
      quotaReached: () => counts.quota++,
    },
    (streamId) => streamId === 'file',
    () => clock.ms,
  );
  const take = (seq: number, epoch = 'a', streamId = 'gate'): void => {
    const frame = { ...frameOf(seq, epoch), streamId };
    leaser.take({ frame, result: ResultMessage.fromPartial({ frame }) });
  };
  return { take, attaches, attached, out, clock, refusal, counts };
}

describe('FrameLeaser', () => {
  it('attaches a pool once and keeps its frames in order meanwhile', async () => {
    const { take, attaches, out, attached } = rig();
    attached.add('b');
    take(0);
    take(1);
    take(0, 'b');
    expect(out).toEqual(['b0']);
    expect(attaches).toHaveLength(1);
    attaches[0]?.finish();
    await settled();
    take(2);
    expect(out).toEqual(['b0', 'a0', 'a1', 'a2']);
  });

  it('leaves the lease of a lossless frame for later, once its pool is attached', async () => {
    const { take, attaches, out } = rig();
    take(0, 'a', 'file');
    expect(out).toEqual([]);
    attaches[0]?.finish();
    await settled();
    take(1, 'a', 'file');
    expect(out).toEqual(['a0~', 'a1~']);
  });

  it('hands frames on without picture when the pool cannot be attached, and tries again later', async () => {
    const { take, attaches, out, clock, counts } = rig();
    take(0);
    attaches[0]?.finish(Object.assign(new Error('no socket'), { code: 'BUS_UNREACHABLE' }));
    await settled();
    take(1);
    expect(out).toEqual(['a0-', 'a1-']);
    expect(counts.failed).toBe(1);
    clock.ms = 1000;
    take(2);
    expect(attaches).toHaveLength(2);
    attaches[1]?.finish();
    await settled();
    expect(out).toEqual(['a0-', 'a1-', 'a2']);
  });

  it('does not try again for a pool that is gone', async () => {
    const { take, attaches, out, clock } = rig();
    take(0);
    attaches[0]?.finish(Object.assign(new Error('gone'), { code: 'BUS_EPOCH_GONE' }));
    await settled();
    clock.ms = 1e9;
    take(1);
    expect(attaches).toHaveLength(1);
    expect(out).toEqual(['a0-', 'a1-']);
  });

  it('bounds what waits, the oldest going on without picture', async () => {
    const { take, attaches, out } = rig();
    for (let seq = 0; seq < 70; seq++) take(seq);
    expect(out).toEqual(['a0-', 'a1-', 'a2-', 'a3-', 'a4-', 'a5-']);
    attaches[0]?.finish();
    await settled();
    expect(out).toHaveLength(70);
    expect(out.at(-1)).toBe('a69');
  });

  it('does not go round in circles when the pool is lost at once', async () => {
    const { take, attaches, attached, out } = rig();
    take(0);
    attaches[0]?.finish();
    attached.delete('a');
    await settled();
    expect(out).toEqual(['a0-']);
    expect(attaches).toHaveLength(1);
    take(1);
    expect(attaches).toHaveLength(2);
  });

  it('tells when the quota is reached', () => {
    const { take, attached, refusal, out, counts } = rig();
    attached.add('a');
    refusal.next = 'quota';
    take(0);
    refusal.next = 'stale';
    take(1);
    expect(out).toEqual(['a0-', 'a1-']);
    expect(counts.quota).toBe(1);
  });
});

describe('isComplete', () => {
  it('asks for epoch, format and producer', () => {
    expect(isComplete(frameOf(0))).toBe(true);
    expect(isComplete(undefined)).toBe(false);
    expect(isComplete({ ...frameOf(0), epoch: undefined })).toBe(false);
    expect(isComplete({ ...frameOf(0), format: undefined })).toBe(false);
    expect(isComplete({ ...frameOf(0), producer: '' })).toBe(false);
  });
});
