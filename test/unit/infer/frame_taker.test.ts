import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Counters } from '../../../lib/counters.js';
import { encodeFrame } from '../../../lib/messages.js';
import type { BusConsumer, FrameLease, LeaseRefusal } from '../../../native/contract.js';
import { FrameTaker } from '../../../services/infer/frame_taker.js';
import type { LeasedFrame } from '../../../services/infer/leased_frame.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { captureLog } from '../../helpers/log.js';

const LEASE = { id: 5, format: { width: 16, height: 8 }, release: () => undefined } as unknown as FrameLease;

/** A bus whose answers are given; "attached" once `attach` has been called. */
class ScriptedBus implements Pick<BusConsumer, 'attach' | 'lease' | 'held'> {
  readonly asked: string[] = [];
  readonly #answers: (FrameLease | LeaseRefusal)[];
  readonly #attach: () => Promise<void>;

  constructor(answers: (FrameLease | LeaseRefusal)[], attach: () => Promise<void> = () => Promise.resolve()) {
    this.#answers = answers;
    this.#attach = attach;
  }

  attach(producer: string, epoch: string): Promise<void> {
    this.asked.push(`attach ${producer} ${epoch}`);
    return this.#attach();
  }

  lease(epoch: string, slot: number, generation: bigint): FrameLease | LeaseRefusal {
    this.asked.push(`lease ${epoch} ${slot} ${generation}`);
    return this.#answers.shift() ?? 'stale';
  }

  held(): number {
    return 0;
  }
}

const frame = FrameDescriptor.fromPartial({
  streamId: 'gate',
  producer: 'ingest-0',
  epoch: { uuid: 'e1', createdUnixNs: 1n },
  slot: 3,
  generation: 7n,
});

function take(bus: ScriptedBus, { lossless = false, data = encodeFrame({ frame, model: 'm' }), leaseDeadlineMs = 500 } = {}) {
  const counters = new Counters('infer', new Registry());
  const answers: string[] = [];
  const taken: LeasedFrame[] = [];
  let attaching = 0;
  const message = {
    data,
    subject: 'fb.frames.m.gate',
    ack: () => void answers.push('ack'),
    nak: (ms: number) => void answers.push(`nak ${ms}`),
  };
  const runner = {
    add: (leased: LeasedFrame) => void taken.push(leased),
    attaching: (change: number) => (attaching += change),
    pump: () => undefined,
  };
  new FrameTaker(bus, counters, captureLog().log, leaseDeadlineMs).take(message, lossless, runner);
  return { answers, taken, attaching: () => attaching, status: () => counters.stream('gate').status() };
}

describe('FrameTaker', () => {
  it('leases at once and acknowledges', () => {
    const bus = new ScriptedBus([LEASE]);
    const { answers, taken, status } = take(bus);
    expect([bus.asked, answers]).toEqual([['lease e1 3 7'], ['ack']]);
    expect(taken).toMatchObject([{ streamId: 'gate', oneABatch: true, lease: { id: 5 } }]);
    expect(status()).toMatchObject({ framesIn: 1n, width: 16, height: 8 });
  });

  it('says until when a live frame must be done: until its lease ends', () => {
    const before = performance.now();
    const deadlineMs = take(new ScriptedBus([LEASE])).taken[0]?.deadlineMs ?? 0;
    expect(deadlineMs).toBeGreaterThanOrEqual(before + 500);
    expect(deadlineMs).toBeLessThanOrEqual(performance.now() + 500);
    const of = (options: object): number | undefined => take(new ScriptedBus([LEASE]), options).taken[0]?.deadlineMs;
    expect([of({ leaseDeadlineMs: 0 }), of({ lossless: true })]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });

  it('acknowledges a lossless frame as soon as its lease says whose it is', () => {
    const { answers, taken } = take(new ScriptedBus([LEASE]), { lossless: true });
    expect([answers, taken[0]?.oneABatch]).toEqual([['ack'], false]);
  });

  it('forgets a stale frame, and counts it', () => {
    const { answers, taken, status } = take(new ScriptedBus(['stale']));
    expect([answers, taken]).toEqual([['ack'], []]);
    expect(status()).toMatchObject({ framesIn: 0n, drops: { stale: 1n } });
  });

  it('attaches a pool that it does not know yet, then leases', async () => {
    const bus = new ScriptedBus(['unattached', LEASE]);
    const { taken, attaching } = take(bus);
    expect(attaching()).toBe(1);
    await sleep(0);
    expect(bus.asked).toEqual(['lease e1 3 7', 'attach ingest-0 e1', 'lease e1 3 7']);
    expect([taken.length, attaching()]).toEqual([1, 0]);
  });

  it('forgets a frame whose pool cannot be attached: ingest answers for it', async () => {
    const bus = new ScriptedBus(['unattached'], () => Promise.reject(new Error('nobody listens')));
    const { answers, taken, attaching, status } = take(bus);
    await sleep(0);
    expect([answers, taken, attaching()]).toEqual([['ack'], [], 0]);
    expect(status()).toMatchObject({ drops: { stale: 1n } });
  });

  it('gives a frame back that it may not hold', () => {
    const { answers, taken } = take(new ScriptedBus(['quota']));
    expect([answers, taken]).toEqual([['nak 5'], []]);
  });

  it('counts and drops what it cannot read', () => {
    const { answers, taken, status } = take(new ScriptedBus([]), { data: Uint8Array.of(8, 99) });
    expect([answers, taken]).toEqual([['ack'], []]);
    expect(status()).toMatchObject({ drops: { unknown_version: 1n } });
  });
});
