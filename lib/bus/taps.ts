import { randomInt } from 'node:crypto';
import type { Msg, NatsConnection, Subscription } from 'nats';
import type { RouteGroup } from '../../native/contract.js';
import type { Epoch, FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { TapMode, TapResponse, type TapRequest } from '#proto/framebus/tap/v1/tap.js';
import { codeOf, FramebusError, messageOf, toFramebusError } from '../errors.js';
import type { Log } from '../log.js';
import { decodeTapRequest, encodeTapFrame, encodeTapResponse } from '../messages.js';
import { isConnected } from '../nats.js';
import * as subjects from '../subjects.js';
import type { Deliveries } from './dispatcher.js';
import { INFER_GROUP, SINK_GROUP } from './route.js';
import { Tap } from './tap.js';

/** How long a member may be asked for and not attached, and a tap stay without members. */
const GRACE_MS = 5_000;
const TICK_MS = 4;
const MODES: Partial<Record<TapMode, 'latest' | 'lossless'>> = {
  [TapMode.TAP_MODE_LATEST]: 'latest',
  [TapMode.TAP_MODE_LOSSLESS]: 'lossless',
};

/** What taps need of the native source, or of pools of one's own. */
export interface TapPool extends Deliveries {
  openGroup(group: RouteGroup): void;
  closeGroup(group: string): void;
  /** Whether a full pool pauses the source. */
  setMode(mode: 'latest' | 'lossless'): void;
}

export interface TapsOptions {
  streamId: string;
  /** Name of the bus socket. */
  producer: string;
  /** Mode of the stream itself. */
  mode: 'latest' | 'lossless';
  /** A source that goes on whatever happens, such as a camera. */
  live: boolean;
  /** How long a frame may be on its way to a member. */
  deliveryTtlMs: number;
}

interface OpenTap {
  tap: Tap;
  /** When somebody was last heard of: a member that asked, or that went. */
  heardMs: number;
  /** The member that went last. */
  gone: string | null;
}

/**
 * The taps of one stream: takes requests for them, keeps their consumer groups on the
 * stream's route, and gives them its frames. A member is there as long as it is attached
 * to the bus; one that is not must have asked within the last seconds.
 */
export class Taps {
  readonly #options: TapsOptions;
  readonly #nats: NatsConnection;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #taps = new Map<string, OpenTap>();
  /** When members that are not attached have asked. */
  readonly #askedMs = new Map<string, number>();
  /** Connections to the bus by consumer. */
  readonly #attached = new Map<string, number>();
  #pool: TapPool | null = null;
  #epoch: Epoch | undefined;
  #subscription: Subscription | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #lossless = false;

  constructor(
    options: TapsOptions,
    parts: { nats: NatsConnection; log: Log },
    nowMs: () => number = () => performance.now(),
  ) {
    this.#options = options;
    this.#nats = parts.nats;
    this.#log = parts.log;
    this.#nowMs = nowMs;
  }

  /** Takes requests from now on. */
  listen(): void {
    this.#subscription = this.#nats.subscribe(subjects.tapRequests(this.#options.streamId), {
      callback: (error, message) => {
        if (error === null) this.#onRequest(message);
      },
    });
  }

  /** The stream has a new source, or none; frames of the one before are over. */
  use(pool: TapPool | null): void {
    const before = this.#pool;
    this.#pool = pool;
    this.#epoch = undefined;
    if (before !== null) for (const { tap } of this.#taps.values()) tap.forget(before);
    if (pool === null) return;
    for (const [group, { tap }] of this.#taps) {
      try {
        pool.openGroup({ name: group, hold: Math.max(1, tap.hold) });
      } catch (error) {
        // Its members ask again, and are told.
        this.#close(group, messageOf(error));
      }
    }
    if (this.#lossless) pool.setMode('lossless');
  }

  /** The stream's frames lie in a new pool. */
  onEpoch(epoch: Epoch): void {
    this.#epoch = epoch;
  }

  /** A frame has been published. */
  dispatch(frame: FrameDescriptor): void {
    if (this.#taps.size === 0 || this.#pool === null) return;
    for (const { tap } of this.#taps.values()) tap.dispatch(frame, this.#pool);
  }

  /** Whether the source pauses for a tap, although its stream does not ask for that. */
  get pauses(): boolean {
    return this.#lossless;
  }

  /** Frames that members still have to take. */
  pending(): number {
    let pending = 0;
    for (const { tap } of this.#taps.values()) pending += tap.pending();
    return pending;
  }

  /** A consumer has attached to the bus. */
  attached(consumer: string): void {
    this.#attached.set(consumer, (this.#attached.get(consumer) ?? 0) + 1);
  }

  /** A consumer's connection to the bus is over: gone, or fenced. */
  detached(consumer: string, group: string): void {
    const left = (this.#attached.get(consumer) ?? 1) - 1;
    if (left > 0) this.#attached.set(consumer, left);
    else this.#attached.delete(consumer);
    this.#drop(group, consumer);
  }

  close(): void {
    this.#subscription?.unsubscribe();
    for (const group of [...this.#taps.keys()]) this.#close(group, 'the stream was closed');
  }

  #onRequest(message: Msg): void {
    let request: TapRequest;
    try {
      request = decodeTapRequest(message.data);
    } catch (error) {
      this.#log.warn({ stream: this.#options.streamId }, `a request for a tap was dropped: ${messageOf(error)}`);
      return;
    }
    const response = this.#answer(request);
    if (response !== null) message.respond(encodeTapResponse(TapResponse.fromPartial(response)));
  }

  #answer(request: TapRequest): Partial<TapResponse> | null {
    if (request.leave) {
      this.#leave(request.group, request.member);
      return null;
    }
    try {
      const session = this.#join(request);
      this.#taps.get(request.group)?.tap.missed(request.member, request.session === session ? request.missed : []);
      const hold = this.#taps.get(request.group)?.tap.holdOf(request.member) ?? 0;
      return { producer: this.#options.producer, session, hold, ...(this.#epoch && { epoch: this.#epoch }) };
    } catch (error) {
      const { code, message } = toFramebusError(error);
      this.#log.warn({ stream: this.#options.streamId, consumer: request.member, code }, message);
      return { errorCode: code, errorMessage: message };
    }
  }

  /** Takes a member in, or hears again of one. Throws TAP_REFUSED, BUS_ADMISSION. */
  #join({ group, member, mode: asked, hold: wanted, minHold }: TapRequest): bigint {
    const mode = MODES[asked];
    const what = `tap ${group} of stream ${this.#options.streamId}`;
    if (mode === undefined) throw new FramebusError('TAP_REFUSED', `${what}: no mode`);
    for (const name of [group, member]) {
      if (!subjects.NAME.test(name)) throw new FramebusError('TAP_REFUSED', `${what}: "${name}" is no name`);
    }
    if (group === INFER_GROUP || group === SINK_GROUP) {
      throw new FramebusError('TAP_REFUSED', `${what}: the name belongs to a service`);
    }
    const open = this.#taps.get(group);
    if (open !== undefined && open.tap.mode !== mode) {
      throw new FramebusError('TAP_REFUSED', `${what}: it is ${open.tap.mode}, ${mode} was asked for`);
    }
    const known = open?.tap.session(member) ?? null;
    const hold = known === null ? this.#admit(group, Math.max(1, wanted), Math.max(1, minHold)) : 0;
    const { tap } = this.#open(group, mode);
    if (!this.#attached.has(member)) this.#askedMs.set(member, this.#nowMs());
    if (known !== null) return known;
    // Random below, so that two memberships of one millisecond differ.
    const session = BigInt(Date.now()) * 1_000_000n + BigInt(randomInt(1_000_000));
    this.#log.info({ stream: this.#options.streamId, group, consumer: member, mode, hold }, 'tap: a consumer joined');
    tap.join(member, session, hold);
    return session;
  }

  /** Puts the group on the route, with as much as can be had. Throws BUS_ADMISSION. */
  #admit(group: string, hold: number, minHold: number): number {
    const had = this.#taps.get(group)?.tap.hold ?? 0;
    for (let granted = hold; ; granted--) {
      try {
        if (granted > had) this.#pool?.openGroup({ name: group, hold: granted });
        return granted;
      } catch (error) {
        if (granted <= minHold || codeOf(error) !== 'BUS_ADMISSION') throw error;
      }
    }
  }

  #open(group: string, mode: 'latest' | 'lossless'): OpenTap {
    let open = this.#taps.get(group);
    if (open === undefined) {
      const { streamId, live, deliveryTtlMs } = this.#options;
      const tap = new Tap(
        { group, mode, live, resendMs: deliveryTtlMs },
        (member, frame) => {
          // Without a server it is sent again later.
          if (isConnected(this.#nats)) this.#nats.publish(subjects.tapFrames(streamId, group, member), encodeTapFrame(frame));
        },
        this.#nowMs,
      );
      open = { tap, heardMs: 0, gone: null };
      this.#taps.set(group, open);
      this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
      this.#setMode();
    }
    open.heardMs = this.#nowMs();
    return open;
  }

  #tick(): void {
    const nowMs = this.#nowMs();
    for (const [group, open] of this.#taps) {
      open.tap.tick();
      for (const member of open.tap.members()) {
        if (this.#attached.has(member)) this.#askedMs.delete(member);
        else if (nowMs - (this.#askedMs.get(member) ?? 0) > GRACE_MS) this.#drop(group, member);
      }
      if (open.tap.members().length === 0 && nowMs - open.heardMs > GRACE_MS) this.#close(group, 'nobody is left');
    }
  }

  /** A member says that it goes. */
  #leave(group: string, member: string): void {
    const open = this.#taps.get(group);
    if (open === undefined) return;
    this.#drop(group, member);
    // Its connection to the bus may have ended first.
    if (open.gone === member && open.tap.members().length === 0) this.#close(group, 'its last consumer left');
  }

  #drop(group: string, member: string): void {
    this.#askedMs.delete(member);
    const open = this.#taps.get(group);
    if (open === undefined || open.tap.session(member) === null) return;
    this.#log.info({ stream: this.#options.streamId, group, consumer: member }, 'tap: a consumer is gone');
    open.heardMs = this.#nowMs();
    open.gone = member;
    open.tap.leave(member);
  }

  #close(group: string, reason: string): void {
    this.#taps.delete(group);
    this.#pool?.closeGroup(group);
    this.#log.info({ stream: this.#options.streamId, group, reason }, 'tap closed');
    if (this.#taps.size === 0) {
      clearInterval(this.#ticker);
      this.#ticker = undefined;
    }
    this.#setMode();
  }

  /** A file waits for taps that want every frame; a camera waits for nobody. */
  #setMode(): void {
    const { mode, live } = this.#options;
    const lossless = mode === 'latest' && !live && [...this.#taps.values()].some(({ tap }) => tap.mode === 'lossless');
    if (lossless === this.#lossless) return;
    this.#lossless = lossless;
    this.#pool?.setMode(lossless ? 'lossless' : 'latest');
  }
}
