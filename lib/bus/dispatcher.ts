import type { DeliveryEnd } from '../../native/contract.js';
import { INFER_GROUP, SINK_GROUP } from './route.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';

/** What the dispatcher needs of the native source. */
export interface Deliveries {
  endDelivery(epoch: string, slot: number, generation: bigint, group: string): DeliveryEnd;
  delivery(
    epoch: string,
    slot: number,
    generation: bigint,
    group: string,
  ): 'none' | 'held' | 'released' | 'gone';
}

/** Where descriptors go. */
export interface FramePublisher {
  /**
   * To the workers of the stream's model.
   *
   * @param attempt how often it was given back; a message with the same number is the same one
   */
  frame(frame: FrameDescriptor, attempt: number): void;
  /** Directly to the sink, not looked at. */
  uninferred(frame: FrameDescriptor, status: InferenceStatus, reason: string): void;
  /** The same once more; it counts no second time. */
  repeat(frame: FrameDescriptor, status: InferenceStatus, reason: string): void;
}

/** What can be changed while frames flow. */
export interface LiveDispatch {
  /** Whether the stream has a model at all. */
  inferred: boolean;
  /** Frames to leave out after each one that is looked at. */
  interval: number;
}

export interface DispatcherOptions extends LiveDispatch {
  /** latest: a newer frame displaces one that no worker took. lossless: it waits. */
  mode: 'latest' | 'lossless';
  /** Frames of this stream that workers may hold at once; those held for longer than the TTL do not count (latest). */
  inFlight: number;
  /** How long a frame waits for a worker, and then for the sink (latest). */
  deliveryTtlMs: number;
}

interface Pending {
  frame: FrameDescriptor;
  /** When it was published, in milliseconds of the injected clock. */
  sinceMs: number;
}

/** A frame that sink has not leased yet. */
interface ToSink extends Pending {
  /** How it was handed on by ingest; null: a worker answers for it. */
  handedOn: { status: InferenceStatus; reason: string } | null;
  /** lossless: when it is sent once more, should sink not have it by then. */
  resendAtMs: number;
  resendWaitMs: number;
}

interface Undecided extends Pending {
  /** Why it was given up. */
  status: InferenceStatus;
  reason: string;
}

/** lossless: sink has so long to lease a frame before it is sent once more; doubles each time. */
const RESEND_WAIT_MS = 10_000;

/** A frame's place in the bus, from its descriptor. */
type Place = [epoch: string, slot: number, generation: bigint];

const place = (frame: FrameDescriptor): Place => [
  frame.epoch?.uuid ?? '',
  frame.slot,
  frame.generation,
];

const key = ([epoch, slot, generation]: Place): string => `${epoch}/${slot}/${generation}`;

/**
 * Decides for every frame of one stream who gets it next, and sees to it that
 * exactly one result of each frame reaches the sink: either a worker takes the
 * frame and answers for it, or the dispatcher hands it on with the reason why
 * nobody looked. Architecture §3, steps 2 and 3.
 */
export class Dispatcher {
  #options: DispatcherOptions;
  readonly #deliveries: Deliveries;
  readonly #publisher: FramePublisher;
  readonly #nowMs: () => number;
  /** Published to the workers, not seen taken yet; oldest first. */
  #waiting: Pending[] = [];
  /** Given up while a worker was just leasing them: ask again. */
  #undecided: Undecided[] = [];
  /** Leased by a worker when last looked at. */
  #taken: Pending[] = [];
  /** lossless: decoded, not published to the workers yet; bounded by the pool. */
  #backlog: FrameDescriptor[] = [];
  /** On their way to the sink: protected until it has leased them. */
  #toSink: ToSink[] = [];
  /** lossless: how often a frame was given to the workers anew; the same number is the same message. */
  readonly #attempts = new WeakMap<FrameDescriptor, number>();
  #sinceInference = 0;

  constructor(
    options: DispatcherOptions,
    deliveries: Deliveries,
    publisher: FramePublisher,
    nowMs: () => number,
  ) {
    this.#options = options;
    this.#deliveries = deliveries;
    this.#publisher = publisher;
    this.#nowMs = nowMs;
  }

  /**
   * From the next frame on. Frames that workers have, or were sent, are theirs; those of a
   * stream that has no model any more are handed on when no worker takes them.
   */
  configure({ inferred, interval }: LiveDispatch): void {
    this.#options = { ...this.#options, inferred, interval };
    // A shorter interval does not wait for the end of a longer one.
    this.#sinceInference = Math.min(this.#sinceInference, interval);
    this.tick();
  }

  /** Routes a frame that has just been decoded. */
  dispatch(frame: FrameDescriptor): void {
    const sinceMs = this.#nowMs();
    const resendAtMs = sinceMs + RESEND_WAIT_MS;
    this.#toSink.push({ frame, sinceMs, handedOn: null, resendAtMs, resendWaitMs: RESEND_WAIT_MS });
    if (!this.#options.inferred || this.#skips()) {
      this.#handOn(frame, InferenceStatus.INFERENCE_STATUS_SKIPPED, '');
    } else if (this.#options.mode === 'lossless') {
      this.#backlog.push(frame);
    } else {
      this.#dispatchLatest(frame);
    }
    this.tick();
  }

  /** Looks at what has happened to the frames since; call it often. */
  tick(): void {
    this.#settleUndecided();
    this.#settleWaiting();
    this.#taken = this.#taken.filter((p) => this.#isOut(p));
    if (this.#options.mode === 'lossless') this.#resendOverdue();
    this.#publishBacklog();
    this.#settleSink();
  }

  /**
   * lossless: the messages on their way may be lost, because the server that carried them was
   * restarted. What sink does not have is sent once more; what it gets twice, it drops.
   */
  resend(): void {
    for (const pending of this.#toSink) pending.resendAtMs = this.#nowMs();
    this.tick();
  }

  /**
   * latest: no more than so many frames wait for sink, the oldest go. For a source that
   * pauses when its pool is full: it shall not pause for a sink that is not there.
   */
  limitSink(frames: number): void {
    if (this.#toSink.length <= frames) return;
    this.#toSink = this.#toSink.filter(
      (p) => this.#deliveries.delivery(...place(p.frame), SINK_GROUP) === 'none',
    );
    const tooMany = this.#toSink.slice(0, Math.max(0, this.#toSink.length - frames));
    for (const pending of tooMany) this.#end(pending, SINK_GROUP);
    this.#toSink = this.#toSink.slice(tooMany.length);
  }

  /** A consumer of the infer group is gone; these of its frames come back. */
  lost(places: Place[]): void {
    const keys = new Set(places.map(key));
    const mine = [...this.#taken, ...this.#waiting, ...this.#undecided].filter((p) =>
      keys.has(key(place(p.frame))),
    );
    const isMine = (p: Pending): boolean => mine.includes(p);
    this.#taken = this.#taken.filter((p) => !isMine(p));
    this.#waiting = this.#waiting.filter((p) => !isMine(p));
    this.#undecided = this.#undecided.filter((p) => !isMine(p));
    for (const pending of mine) {
      if (this.#options.mode === 'lossless') this.#giveAnew(pending.frame);
      else this.#giveUp(pending, InferenceStatus.INFERENCE_STATUS_WORKER_LOST);
    }
    this.tick();
  }

  /** Frames that somebody still has to take. */
  pending(): number {
    return (
      this.#waiting.length +
      this.#undecided.length +
      this.#taken.length +
      this.#backlog.length +
      this.#toSink.length
    );
  }

  /** Hands on all that no worker has taken: the stream is over. */
  flush(reason: string): void {
    const status = InferenceStatus.INFERENCE_STATUS_EXPIRED;
    for (const pending of [...this.#waiting, ...this.#undecided]) {
      const end = this.#end(pending, INFER_GROUP);
      if (end !== 'taken') this.#publisher.uninferred(pending.frame, status, reason);
    }
    for (const frame of this.#backlog) this.#handOn(frame, status, reason);
    this.#waiting = [];
    this.#undecided = [];
    this.#backlog = [];
  }

  #skips(): boolean {
    if (this.#sinceInference > 0) {
      this.#sinceInference -= 1;
      return true;
    }
    this.#sinceInference = this.#options.interval;
    return false;
  }

  #dispatchLatest(frame: FrameDescriptor): void {
    for (const older of this.#waiting) {
      this.#giveUp(older, InferenceStatus.INFERENCE_STATUS_SUPERSEDED);
    }
    this.#waiting = [];
    this.#taken = this.#taken.filter((p) => this.#isOut(p));
    // What a worker keeps for long, it was stopped with: that must not cost the stream the other workers.
    if (this.#taken.filter((p) => !this.#expired(p)).length >= this.#options.inFlight) {
      this.#handOn(frame, InferenceStatus.INFERENCE_STATUS_OVERLOADED, '');
      return;
    }
    this.#publish(frame);
  }

  #publish(frame: FrameDescriptor): void {
    this.#publisher.frame(frame, this.#attempts.get(frame) ?? 0);
    this.#waiting.push({ frame, sinceMs: this.#nowMs() });
  }

  /** Hands a frame on with the reason why nobody looked, unless a worker has it after all. */
  #giveUp(pending: Pending, status: InferenceStatus, reason = ''): void {
    switch (this.#end(pending, INFER_GROUP)) {
      case 'taken':
        this.#taken.push(pending);
        break;
      case 'undecided':
        this.#undecided.push({ ...pending, status, reason });
        break;
      case 'closed':
      case 'gone':
        this.#publisher.uninferred(pending.frame, status, reason);
    }
  }

  #settleUndecided(): void {
    const undecided = this.#undecided;
    this.#undecided = [];
    for (const { status, reason, ...pending } of undecided) this.#giveUp(pending, status, reason);
  }

  #settleWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const pending of waiting) this.#settle(pending);
  }

  #settle(pending: Pending): void {
    switch (this.#delivery(pending)) {
      case 'held':
        this.#taken.push(pending);
        break;
      case 'released':
        break;
      case 'gone':
        // lossless: taken, used and reused since the last look. latest: drop-oldest; if
        // it was taken after all, and so long ago, the sink drops the second result.
        if (this.#options.mode === 'latest') {
          this.#publisher.uninferred(
            pending.frame,
            InferenceStatus.INFERENCE_STATUS_SUPERSEDED,
            'its slot was needed',
          );
        }
        break;
      case 'none':
        if (this.#options.mode === 'latest' && this.#expired(pending)) {
          this.#giveUp(
            pending,
            InferenceStatus.INFERENCE_STATUS_EXPIRED,
            'no worker took it in time',
          );
        } else if (this.#expired(pending) && !this.#options.inferred) {
          this.#giveUp(pending, InferenceStatus.INFERENCE_STATUS_SKIPPED);
        } else if (this.#expired(pending)) {
          // The server drops it, unless it has lost the first one.
          this.#publish(pending.frame);
        } else {
          this.#waiting.push(pending);
        }
    }
  }

  /** lossless: a frame goes to the workers once more, in its place. */
  #giveAnew(frame: FrameDescriptor): void {
    this.#attempts.set(frame, (this.#attempts.get(frame) ?? 0) + 1);
    this.#backlog.push(frame);
    this.#backlog.sort((a, b) => (a.seq < b.seq ? -1 : 1));
  }

  /** lossless: frames whose answer has not reached sink although it was given. */
  #resendOverdue(): void {
    const nowMs = this.#nowMs();
    const overdue = this.#toSink.filter((p) => p.resendAtMs <= nowMs);
    for (const pending of overdue) {
      pending.resendWaitMs *= 2;
      pending.resendAtMs = nowMs + pending.resendWaitMs;
      if (this.#deliveries.delivery(...place(pending.frame), SINK_GROUP) !== 'none') continue;
      const { handedOn, frame } = pending;
      if (handedOn !== null) this.#publisher.repeat(frame, handedOn.status, handedOn.reason);
      else if (this.#delivery(pending) === 'released') this.#giveAnew(frame);
    }
  }

  /** lossless: the next frames go out as the ones before are done with. */
  #publishBacklog(): void {
    if (!this.#options.inferred) {
      for (const frame of this.#backlog) this.#handOn(frame, InferenceStatus.INFERENCE_STATUS_SKIPPED, '');
      this.#backlog = [];
    }
    this.#taken = this.#taken.filter((p) => this.#isOut(p));
    const out = (): number => this.#waiting.length + this.#taken.length;
    while (this.#backlog.length > 0 && out() < this.#options.inFlight) {
      const next = this.#backlog.shift();
      if (next !== undefined) this.#publish(next);
    }
  }

  /** Oldest first, and no further than the first that waits: the sink takes them in this order. */
  #settleSink(): void {
    for (let oldest = this.#toSink[0]; oldest !== undefined; oldest = this.#toSink[0]) {
      if (!this.#hasLeftForSink(oldest)) return;
      this.#toSink.shift();
    }
  }

  /** Whether the sink has, or had, the frame, or has let its time pass. */
  #hasLeftForSink(pending: Pending): boolean {
    if (this.#deliveries.delivery(...place(pending.frame), SINK_GROUP) !== 'none') return true;
    // Twice the time: first a worker may have had it for as long as it may.
    const overdue = this.#nowMs() - pending.sinceMs > 2 * this.#options.deliveryTtlMs;
    if (this.#options.mode === 'lossless' || !overdue) return false;
    return this.#end(pending, SINK_GROUP) !== 'undecided';
  }

  #handOn(frame: FrameDescriptor, status: InferenceStatus, reason: string): void {
    // The workers' group is on the route even when there is no model: there may be one later.
    this.#deliveries.endDelivery(...place(frame), INFER_GROUP);
    const pending = this.#toSink.find((p) => p.frame === frame);
    if (pending !== undefined) pending.handedOn = { status, reason };
    this.#publisher.uninferred(frame, status, reason);
  }

  #expired(pending: Pending): boolean {
    return this.#nowMs() - pending.sinceMs > this.#options.deliveryTtlMs;
  }

  /** Whether a worker has a taken frame, or has died with it and `lost` is about to follow. */
  #isOut(pending: Pending): boolean {
    switch (this.#delivery(pending)) {
      case 'held':
      case 'none':
        return true;
      case 'released':
        return false;
      case 'gone': // Returned by the worker's end and displaced since: nobody has had it.
        return this.#end(pending, INFER_GROUP) === 'closed';
    }
  }

  #delivery(pending: Pending): 'none' | 'held' | 'released' | 'gone' {
    return this.#deliveries.delivery(...place(pending.frame), INFER_GROUP);
  }

  #end(pending: Pending, group: string): DeliveryEnd {
    return this.#deliveries.endDelivery(...place(pending.frame), group);
  }
}
