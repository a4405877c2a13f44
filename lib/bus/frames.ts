import type { NatsConnection, Subscription } from 'nats';
import type { BusConsumer, BusConsumerEvent, FrameLease, LeaseRefusal } from '../../native/contract.js';
import { createBusConsumer } from '../../native/index.js';
import type { Epoch, FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { TapResponse } from '#proto/framebus/tap/v1/tap.js';
import { codeOf, messageOf, toFramebusError } from '../errors.js';
import type { Log } from '../log.js';
import { decodeTapFrame } from '../messages.js';
import * as subjects from '../subjects.js';
import { Frame } from './frame.js';
import { Inbox, type Offer } from './inbox.js';
import { Membership } from './membership.js';

/** Errors of attaching that the next frame may mend. */
const PASSING = ['BUS_EPOCH_GONE', 'BUS_UNREACHABLE', 'BUS_CLOSED'];
/** All frames are held for so long: somebody has forgotten to release them. */
const FORGOTTEN_MS = 5_000;

/** Frames by what became of them. */
export interface FrameCounters {
  /** Given to the loop. */
  delivered: number;
  /** Let go by because newer ones came first. */
  displaced: number;
  /** Gone when they were wanted. */
  stale: number;
  /** Let go by because too many were held. */
  quota: number;
  /** Taken back while they were held: see `onRevoked`. */
  revoked: number;
}

/** Frames that were taken back from their holder, which had kept one of them for too long. */
export interface Revocation {
  producer: string;
  reason: string;
  /** How many were held. Their planes throw LEASE_REVOKED from now on. */
  frames: number;
}

export interface FramesSetup {
  streamId: string;
  mode: 'latest' | 'lossless';
  group: string;
  /** Name on the bus, unique. */
  member: string;
  hold: number;
  minHold: number;
  directory: string;
  token: string;
  signal: AbortSignal | undefined;
  onRevoked: (revocation: Revocation) => void;
  onClosed: () => void;
}

/**
 * The frames of a stream, to loop over: `for await (const frame of bus.frames('gate'))`.
 *
 * latest: a bounded queue of one; whoever is slow gets the newest frame, and what went by
 * is counted. lossless: every frame once, in order; a file waits for the loop, of a camera
 * the oldest frames are displaced. The loop goes on over new formats, restarts of the
 * stream's owner, of NATS, and revocations. Leaving it leaves the stream; frames that are
 * still held stay good until they are released.
 */
export class Frames implements AsyncIterableIterator<Frame, undefined>, AsyncDisposable {
  readonly #setup: FramesSetup;
  readonly #nats: NatsConnection;
  readonly #log: Log;
  readonly #inbox: Inbox;
  readonly #membership: Membership;
  readonly #counters: FrameCounters = { delivered: 0, displaced: 0, stale: 0, quota: 0, revoked: 0 };
  /** Frames that the owner lets us hold. */
  #granted: number;
  /** Producers of the frames that are held. No frame itself: a forgotten one must be noticed. */
  readonly #held = new Map<string, string>();
  readonly #onAbort = (): void => void this.close();
  #consumer: BusConsumer | null = null;
  #subscription: Subscription | null = null;
  #failure: Error | null = null;
  #closed = false;
  #closing: Promise<void> | null = null;
  /** One `next` at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  /** @internal Made by `Bus.frames`. */
  constructor(setup: FramesSetup, parts: { nats: NatsConnection; log: Log }) {
    this.#setup = setup;
    this.#nats = parts.nats;
    this.#log = parts.log;
    this.#granted = setup.hold;
    this.#inbox = new Inbox(setup.mode);
    this.#membership = new Membership(setup, parts);
    setup.signal?.addEventListener('abort', this.#onAbort);
    if (setup.signal?.aborted === true) this.#closed = true;
  }

  /** What has become of the frames so far. */
  get counters(): Readonly<FrameCounters> {
    return { ...this.#counters };
  }

  /** Frames that are held now. */
  get held(): number {
    return this.#held.size;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @throws BUS_REFUSED, BUS_ADMISSION, TAP_REFUSED, MEMORY_UNSUPPORTED, BUS_MEMORY */
  next(): Promise<IteratorResult<Frame, undefined>> {
    const next = this.#turn.then(() => this.#next());
    // Without the frame: a forgotten one must be noticed.
    const over = (): undefined => undefined;
    this.#turn = next.then(over, over);
    return next;
  }

  async return(): Promise<IteratorResult<Frame, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** Leaves the stream. Frames that are held stay good. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.#setup.signal?.removeEventListener('abort', this.#onAbort);
    this.#subscription?.unsubscribe();
    if (this.#subscription !== null) this.#membership.close();
    this.#wake();
    await this.#consumer?.close();
    this.#setup.onClosed();
  }

  async #next(): Promise<IteratorResult<Frame, undefined>> {
    if (!this.#closed && this.#subscription === null) this.#start();
    // A function, because it changes while something is awaited.
    const isClosed = (): boolean => this.#closed;
    while (!isClosed()) {
      const frame = await this.#take();
      if (frame !== null && isClosed()) frame.release();
      else if (frame !== null) return { done: false, value: frame };
    }
    const failure = this.#failure;
    this.#failure = null;
    await this.close();
    if (failure !== null) throw failure;
    return { done: true, value: undefined };
  }

  /** Begins with the first `next`: who does not ask for frames shall not keep any. */
  #start(): void {
    const { directory, member, group, hold, minHold, token, streamId } = this.#setup;
    const options = { directory, name: member, group, maxHeld: hold, hold, minHold, token };
    this.#consumer = createBusConsumer(options, (event) => this.#onBus(event));
    this.#subscription = this.#nats.subscribe(subjects.tapFrames(streamId, group, member), {
      callback: (error, message) => {
        if (error === null) this.#onFrame(message.data);
      },
    });
    this.#membership
      .keep(
        () => this.#inbox.session,
        (answer) => this.#onAnswer(answer),
      )
      .catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#failure ??= toFramebusError(error);
    this.#closed = true;
    this.#wake();
  }

  /** The socket tells the owner that we live: attach before the first frame. */
  async #onAnswer({ session, producer, epoch, hold }: TapResponse): Promise<void> {
    this.#inbox.begin(session);
    this.#granted = hold;
    if (epoch !== undefined) await this.#attach(producer, epoch);
  }

  #onFrame(data: Uint8Array): void {
    try {
      const message = decodeTapFrame(data);
      const { displaced, repeated } = this.#inbox.put(message);
      this.#counters.displaced += message.displacedBefore;
      const epoch = message.frame?.epoch?.uuid ?? '';
      if (message.displacedBefore > 0) this.#consumer?.countDisplaced(epoch, message.displacedBefore);
      for (const offer of displaced) this.#countDisplaced(offer);
      if (repeated !== null) this.#membership.missed(message.session, [repeated]);
      this.#wake();
    } catch (error) {
      this.#log.warn({ stream: this.#setup.streamId }, `a frame's message was dropped: ${messageOf(error)}`);
    }
  }

  #countDisplaced({ frame, refused }: Offer): void {
    if (refused) {
      this.#counters.quota++;
      return;
    }
    this.#counters.displaced++;
    this.#consumer?.countDisplaced(frame.epoch?.uuid ?? '', 1);
  }

  /** Waits for the next frame that can be leased; null when something has changed instead. */
  async #take(): Promise<Frame | null> {
    const offer = this.#inbox.peek();
    if (offer === null) return this.#changed();
    const { frame } = offer;
    const uuid = frame.epoch?.uuid ?? '';
    // Of a pool that is not attached yet, 0 is granted.
    const isFull = this.#held.size >= (this.#consumer?.hold(uuid) || this.#granted);
    if (isFull && this.#setup.mode === 'lossless') return this.#released();
    const lease = await this.#lease(frame);
    if (typeof lease !== 'string') {
      // The owner may have taken the membership back, or sent a newer frame, while we attached.
      if (!this.#inbox.has(offer)) {
        lease.release();
        return null;
      }
      this.#inbox.remove(offer);
      return this.#hold(frame, lease);
    }
    if (lease === 'quota') {
      offer.refused = true;
      return this.#released();
    }
    if (this.#closed || !this.#inbox.has(offer)) return null;
    this.#inbox.remove(offer);
    this.#counters.stale++;
    if (this.#setup.mode === 'lossless') this.#membership.missed(this.#inbox.session, [offer.number]);
    return null;
  }

  async #lease(frame: FrameDescriptor): Promise<FrameLease | LeaseRefusal> {
    const { epoch } = frame;
    const consumer = this.#consumer;
    if (epoch === undefined || consumer === null) return 'stale';
    const lease = consumer.lease(epoch.uuid, frame.slot, frame.generation);
    if (lease !== 'unattached') return lease;
    if (!(await this.#attach(frame.producer, epoch)) || this.#closed) return 'stale';
    return consumer.lease(epoch.uuid, frame.slot, frame.generation);
  }

  /** Whether the pool is there. Throws what no later frame will mend. */
  async #attach(producer: string, epoch: Epoch): Promise<boolean> {
    try {
      await this.#consumer?.attach(producer, epoch.uuid);
      return true;
    } catch (error) {
      if (!this.#closed && !PASSING.includes(codeOf(error) ?? '')) {
        this.#fail(error);
      }
      this.#log.debug({ stream: this.#setup.streamId, producer }, `attaching failed: ${messageOf(error)}`);
      return false;
    }
  }

  #hold(descriptor: FrameDescriptor, lease: FrameLease): Frame {
    const key = keyOf(descriptor.epoch?.uuid ?? '', descriptor.slot, descriptor.generation);
    this.#held.set(key, descriptor.producer);
    this.#counters.delivered++;
    return new Frame(descriptor, lease, () => {
      if (this.#held.delete(key)) this.#wake();
    });
  }

  #onBus(event: BusConsumerEvent): void {
    const stream = this.#setup.streamId;
    switch (event.type) {
      case 'leaked':
        this.#held.delete(keyOf(event.epoch, event.slot, event.generation));
        this.#log.warn({ stream, slot: event.slot }, 'a frame was forgotten: call release(), or say "using frame"');
        break;
      case 'revoked':
        this.#onRevoked(event.producer, event.reason);
        break;
      case 'detached':
        this.#log.info({ stream, producer: event.producer, reason: event.reason }, 'the stream’s owner is gone');
    }
    if (event.type !== 'leaked') {
      this.#inbox.end();
      this.#membership.renew();
    }
    this.#wake();
  }

  #onRevoked(producer: string, reason: string): void {
    const lost = [...this.#held].filter(([, owner]) => owner === producer);
    for (const [key] of lost) this.#held.delete(key);
    this.#counters.revoked += lost.length;
    this.#log.warn({ stream: this.#setup.streamId, producer, frames: lost.length, reason }, 'frames were taken back');
    try {
      this.#setup.onRevoked({ producer, reason, frames: lost.length });
    } catch (error) {
      // The loop throws it: nobody is above us here.
      this.#fail(error);
    }
  }

  /** Something has changed: a frame came or was released, or it is over. */
  async #changed(): Promise<null> {
    if (this.#closed) return null;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return null;
  }

  /** As `changed`, with a word in the log when nothing is released for long. */
  async #released(): Promise<null> {
    const timer = setTimeout(() => {
      const { streamId: stream } = this.#setup;
      this.#log.warn({ stream, held: this.#held.size, hold: this.#granted }, 'no frame can be had: release some, or raise hold');
    }, FORGOTTEN_MS);
    await this.#changed();
    clearTimeout(timer);
    return null;
  }
}

const keyOf = (epoch: string, slot: number, generation: bigint): string => `${epoch}/${slot}/${generation}`;
