import { beforeEach, describe, expect, it } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { DeliveryEnd } from '../../../../native/contract.js';
import {
  Dispatcher,
  type Deliveries,
  type DispatcherOptions,
} from '../../../../lib/bus/dispatcher.js';

type Held = 'none' | 'held' | 'released' | 'gone';

/** The pool as the dispatcher sees it: what each group has done with each slot. */
class Pool implements Deliveries {
  readonly state = new Map<string, Held>();
  readonly ended: string[] = [];
  racing = new Set<number>();

  set(slot: number, group: string, held: Held): void {
    this.state.set(`${slot}/${group}`, held);
  }

  delivery(_epoch: string, slot: number, _generation: bigint, group: string): Held {
    return this.state.get(`${slot}/${group}`) ?? 'none';
  }

  endDelivery(_epoch: string, slot: number, generation: bigint, group: string): DeliveryEnd {
    const held = this.delivery('', slot, generation, group);
    if (held === 'gone') return 'gone';
    if (held !== 'none') return 'taken';
    if (this.racing.has(slot)) return 'undecided';
    this.ended.push(`${slot}/${group}`);
    return 'closed';
  }
}

const LATEST: DispatcherOptions = {
  inferred: true,
  interval: 0,
  mode: 'latest',
  inFlight: 2,
  deliveryTtlMs: 1000,
};

const frame = (seq: number): FrameDescriptor =>
  FrameDescriptor.fromPartial({
    streamId: 'gate',
    epoch: { uuid: 'e', createdUnixNs: 1n },
    slot: seq,
    generation: 1n,
    seq: BigInt(seq),
  });

describe('Dispatcher', () => {
  let pool: Pool;
  let sent: number[];
  let attempts: number[];
  let repeated: number[];
  let handedOn: [number, string][];
  let nowMs: number;

  const make = (options: Partial<DispatcherOptions> = {}): Dispatcher =>
    new Dispatcher(
      { ...LATEST, ...options },
      pool,
      {
        frame: (f, attempt) => {
          sent.push(Number(f.seq));
          attempts.push(attempt);
        },
        repeat: (f) => repeated.push(Number(f.seq)),
        uninferred: (f, status) =>
          handedOn.push([
            Number(f.seq),
            InferenceStatus[status].replace('INFERENCE_STATUS_', ''),
          ]),
      },
      () => nowMs,
    );

  beforeEach(() => {
    pool = new Pool();
    sent = [];
    attempts = [];
    repeated = [];
    handedOn = [];
    nowMs = 0;
  });

  it('hands a frame on as superseded when a newer one comes before a worker took it', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    dispatcher.dispatch(frame(1));
    expect(sent).toEqual([0, 1]);
    expect(handedOn).toEqual([[0, 'SUPERSEDED']]);
    expect(pool.ended).toContain('0/infer');
  });

  it('leaves a frame to the worker that has it', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'held');
    dispatcher.dispatch(frame(1));
    expect(handedOn).toEqual([]);
  });

  it('hands frames on as overloaded while workers hold as many as they may', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'held');
    dispatcher.dispatch(frame(1));
    pool.set(1, 'infer', 'held');
    dispatcher.dispatch(frame(2));
    expect(sent).toEqual([0, 1]);
    expect(handedOn).toEqual([[2, 'OVERLOADED']]);
    pool.set(0, 'infer', 'released');
    dispatcher.dispatch(frame(3));
    expect(sent).toEqual([0, 1, 3]);
  });

  it('does not let a worker that was stopped with frames keep the stream from the others', () => {
    const dispatcher = make();
    for (const seq of [0, 1]) {
      dispatcher.dispatch(frame(seq));
      pool.set(seq, 'infer', 'held');
    }
    nowMs += 1000;
    dispatcher.dispatch(frame(2));
    expect([sent, handedOn]).toEqual([[0, 1], [[2, 'OVERLOADED']]]);
    nowMs += 1;
    dispatcher.dispatch(frame(3));
    expect(sent).toEqual([0, 1, 3]);
    // They are still its frames, and come back when it is fenced.
    for (const seq of [0, 1]) pool.set(seq, 'infer', 'none');
    dispatcher.lost([['e', 0, 1n], ['e', 1, 1n]]);
    expect(handedOn).toContainEqual([0, 'WORKER_LOST']);
    expect(handedOn).toContainEqual([1, 'WORKER_LOST']);
  });

  it('counts the interval per stream', () => {
    const dispatcher = make({ interval: 2 });
    for (let seq = 0; seq < 6; seq++) {
      dispatcher.dispatch(frame(seq));
      pool.set(seq, 'infer', 'released');
    }
    expect(sent).toEqual([0, 3]);
    expect(handedOn).toEqual([1, 2, 4, 5].map((seq) => [seq, 'SKIPPED']));
  });

  it('skips every frame of a stream without a model', () => {
    const dispatcher = make({ inferred: false });
    dispatcher.dispatch(frame(0));
    expect(sent).toEqual([]);
    expect(handedOn).toEqual([[0, 'SKIPPED']]);
    expect(pool.ended).toEqual(['0/infer']);
  });

  it('hands a frame on as expired when no worker takes it in time', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    nowMs = 1001;
    dispatcher.tick();
    expect(handedOn).toEqual([[0, 'EXPIRED']]);
  });

  it('asks again about a frame that a worker was just leasing, and answers for it once', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.racing.add(0);
    dispatcher.dispatch(frame(1));
    expect(handedOn).toEqual([]);
    pool.racing.delete(0);
    dispatcher.tick();
    dispatcher.tick();
    expect(handedOn).toEqual([[0, 'SUPERSEDED']]);
  });

  it('does not hand on a frame whose lease was confirmed after the race', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.racing.add(0);
    dispatcher.dispatch(frame(1));
    pool.set(0, 'infer', 'held');
    dispatcher.tick();
    pool.set(0, 'infer', 'released');
    dispatcher.tick();
    expect(handedOn).toEqual([]);
  });

  it("hands on a dead worker's frames in latest mode", () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'held');
    dispatcher.tick();
    pool.set(0, 'infer', 'none');
    dispatcher.lost([['e', 0, 1n]]);
    expect(handedOn).toEqual([[0, 'WORKER_LOST']]);
  });

  it("hands on a dead worker's frame when it looks before it is told of the death", () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'held');
    dispatcher.tick();
    pool.set(0, 'infer', 'none');
    dispatcher.tick();
    dispatcher.dispatch(frame(1));
    expect(handedOn).toEqual([]);
    dispatcher.lost([['e', 0, 1n]]);
    expect(handedOn).toEqual([[0, 'WORKER_LOST']]);
  });

  it("leaves a dead worker's frame to another one that has leased it meanwhile", () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'held');
    dispatcher.tick();
    dispatcher.lost([['e', 0, 1n]]);
    pool.set(0, 'infer', 'released');
    dispatcher.tick();
    expect(handedOn).toEqual([]);
  });

  it("publishes a dead worker's frames again in lossless mode, in order", () => {
    const dispatcher = make({ mode: 'lossless', inFlight: 2 });
    for (let seq = 0; seq < 2; seq++) dispatcher.dispatch(frame(seq));
    expect(sent).toEqual([0, 1]);
    pool.set(0, 'infer', 'held');
    pool.set(1, 'infer', 'held');
    dispatcher.tick();
    pool.set(0, 'infer', 'none');
    pool.set(1, 'infer', 'none');
    dispatcher.lost([
      ['e', 1, 1n],
      ['e', 0, 1n],
    ]);
    expect(sent).toEqual([0, 1, 0, 1]);
    expect(attempts).toEqual([0, 0, 1, 1]);
    expect(handedOn).toEqual([]);
  });

  it('sends a lossless frame again that no worker has taken in time, as the same message', () => {
    const dispatcher = make({ mode: 'lossless', inFlight: 1 });
    dispatcher.dispatch(frame(0));
    nowMs = 1001;
    dispatcher.tick();
    dispatcher.tick();
    expect(sent).toEqual([0, 0]);
    expect(attempts).toEqual([0, 0]);
  });

  it('sends what sink does not have once more when messages may be lost, and not what it has', () => {
    const dispatcher = make({ mode: 'lossless', inFlight: 4, interval: 1 });
    for (let seq = 0; seq < 5; seq++) dispatcher.dispatch(frame(seq));
    expect(sent).toEqual([0, 2, 4]);
    pool.set(0, 'infer', 'released');
    pool.set(0, 'sink', 'released');
    pool.set(2, 'infer', 'released');
    pool.set(4, 'infer', 'held');
    dispatcher.resend();
    expect(sent).toEqual([0, 2, 4, 2]);
    expect(attempts).toEqual([0, 0, 0, 1]);
    expect(repeated).toEqual([1, 3]);
    dispatcher.tick();
    expect(sent).toHaveLength(4);
  });

  it('does so by itself when sink has come back without them, at longer and longer intervals', () => {
    const dispatcher = make({ mode: 'lossless' });
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'released');
    const at: number[] = [];
    for (nowMs = 0; nowMs <= 100_000; nowMs += 1000) {
      const before = sent.length;
      dispatcher.tick();
      if (sent.length > before) at.push(nowMs / 1000);
    }
    expect(at).toEqual([10, 30, 70]);
    pool.set(0, 'sink', 'held');
    nowMs = 300_000;
    dispatcher.tick();
    expect(sent).toHaveLength(4);
    expect(dispatcher.pending()).toBe(0);
  });

  it('never displaces a lossless frame, however late it is taken', () => {
    const dispatcher = make({ mode: 'lossless', inFlight: 1 });
    for (let seq = 0; seq < 3; seq++) dispatcher.dispatch(frame(seq));
    nowMs = 60_000;
    dispatcher.tick();
    expect(new Set(sent)).toEqual(new Set([0]));
    pool.set(0, 'infer', 'released');
    dispatcher.tick();
    expect(sent.at(-1)).toBe(1);
    expect(handedOn).toEqual([]);
  });

  it('ends the delivery to a sink that takes nothing, in latest mode', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    pool.set(0, 'infer', 'released');
    nowMs = 2001;
    dispatcher.tick();
    expect(pool.ended).toEqual(['0/sink']);
    expect(dispatcher.pending()).toBe(0);
  });

  it('limits what waits for a sink that takes nothing', () => {
    const dispatcher = make({ inferred: false });
    for (let seq = 0; seq < 6; seq++) dispatcher.dispatch(frame(seq));
    pool.set(1, 'sink', 'held');
    pool.ended.length = 0;
    dispatcher.limitSink(6);
    expect(pool.ended).toEqual([]);
    dispatcher.limitSink(3);
    expect(pool.ended).toEqual(['0/sink', '2/sink']);
    expect(dispatcher.pending()).toBe(3);
  });

  it('knows when all frames have been taken', () => {
    const dispatcher = make({ mode: 'lossless' });
    dispatcher.dispatch(frame(0));
    expect(dispatcher.pending()).toBeGreaterThan(0);
    pool.set(0, 'infer', 'released');
    pool.set(0, 'sink', 'released');
    dispatcher.tick();
    expect(dispatcher.pending()).toBe(0);
  });

  describe('changed while frames flow', () => {
    /** Frames that a worker takes and lets go at once. */
    const feed = (dispatcher: Dispatcher, from: number, to: number): void => {
      for (let seq = from; seq < to; seq++) {
        dispatcher.dispatch(frame(seq));
        pool.set(seq, 'infer', 'released');
      }
    };

    it('a shorter interval counts at once, not when the longer one has ended', () => {
      const dispatcher = make({ interval: 100 });
      feed(dispatcher, 0, 3);
      dispatcher.configure({ inferred: true, interval: 1 });
      feed(dispatcher, 3, 8);
      expect(sent).toEqual([0, 4, 6]);
      dispatcher.configure({ inferred: true, interval: 0 });
      feed(dispatcher, 8, 10);
      expect(sent).toEqual([0, 4, 6, 8, 9]);
    });

    it('a longer interval begins with the next frame that is looked at', () => {
      const dispatcher = make({ interval: 0 });
      feed(dispatcher, 0, 2);
      dispatcher.configure({ inferred: true, interval: 3 });
      feed(dispatcher, 2, 8);
      expect(sent).toEqual([0, 1, 2, 6]);
    });

    it('a stream loses its model and gets one', () => {
      const dispatcher = make();
      feed(dispatcher, 0, 1);
      dispatcher.configure({ inferred: false, interval: 0 });
      feed(dispatcher, 1, 3);
      dispatcher.configure({ inferred: true, interval: 0 });
      feed(dispatcher, 3, 4);
      expect(sent).toEqual([0, 3]);
      expect(handedOn).toEqual([
        [1, 'SKIPPED'],
        [2, 'SKIPPED'],
      ]);
    });

    it('a frame that was sent to workers stays theirs when the model goes', () => {
      const dispatcher = make();
      dispatcher.dispatch(frame(0));
      dispatcher.configure({ inferred: false, interval: 0 });
      dispatcher.dispatch(frame(1));
      expect(handedOn).toEqual([[1, 'SKIPPED']]);
      pool.set(0, 'infer', 'held');
      nowMs = 2000;
      dispatcher.tick();
      pool.set(0, 'infer', 'released');
      dispatcher.tick();
      expect(handedOn).toEqual([[1, 'SKIPPED']]);
    });

    it('lossless frames that wait for the workers are handed on when the model goes, each once', () => {
      const dispatcher = make({ mode: 'lossless', inFlight: 2 });
      for (let seq = 0; seq < 5; seq++) dispatcher.dispatch(frame(seq));
      pool.set(0, 'infer', 'held');
      dispatcher.configure({ inferred: false, interval: 0 });
      expect(sent).toEqual([0, 1]);
      expect(handedOn.map(([seq]) => seq)).toEqual([2, 3, 4]);
      nowMs = 1001;
      dispatcher.tick();
      dispatcher.tick();
      expect(handedOn.map(([seq]) => seq)).toEqual([2, 3, 4, 1]);
      // The worker that has the first one dies.
      pool.set(0, 'infer', 'none');
      dispatcher.lost([['e', 0, 1n]]);
      expect(handedOn.map(([seq]) => seq)).toEqual([2, 3, 4, 1, 0]);
      expect(new Set(handedOn.map(([, status]) => status))).toEqual(new Set(['SKIPPED']));
      expect(sent).toEqual([0, 1]);
    });
  });

  it('hands on what nobody took when the stream is over', () => {
    const dispatcher = make();
    dispatcher.dispatch(frame(0));
    dispatcher.flush('the stream was closed');
    expect(handedOn).toEqual([[0, 'EXPIRED']]);
  });
});
