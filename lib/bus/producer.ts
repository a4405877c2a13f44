import { setTimeout as sleep } from 'node:timers/promises';
import { Events } from 'nats';
import { Registry } from 'prom-client';
import { createBusServer, monotonicNs } from '../../native/index.js';
import type { BusServer, BusServerEvent, BusServerOptions, FrameFormat, PoolState } from '../../native/contract.js';
import { ServiceState, StreamState } from '#proto/framebus/status/v1/status.js';
import { Counters, type StreamCounters } from '../counters.js';
import { FramebusError } from '../errors.js';
import type { Log } from '../log.js';
import { isConnected, type NatsConnection } from '../nats.js';
import { makeStatus, publishStatus } from '../status.js';
import { describeFrame } from './descriptor.js';
import { NatsFramePublisher } from './frame_publisher.js';
import { frameFormat, type ProducerFormat } from './producer_format.js';
import { ProducerEpochs, type EpochOptions, type ProducerEpoch } from './producer_epochs.js';
import { groupHold, INFER_GROUP, routeGroups } from './route.js';
import { Slot, type FrameTimes } from './slot.js';
import { Taps } from './taps.js';

const TICK_MS = { latest: 20, lossless: 4 } as const;
const STATUS_INTERVAL_MS = 1_000;
/** After NATS is back: what is on its way by itself has arrived. */
const RESEND_AFTER_MS = 3_000;
/** What the services may take to finish with the last frames. */
const DRAIN_MS = { latest: 2_000, lossless: 10_000 } as const;

export interface ProducerSetup {
  streamId: string;
  format: ProducerFormat | FrameFormat;
  slots: number;
  memory: 'shm' | 'dmabuf';
  mode: 'latest' | 'lossless';
  model: string | null;
  interval: number;
  /** Whether infer and sink get the frames. */
  services: boolean;
  inFlight: number;
  deliveryTtlMs: number;
  server: BusServerOptions;
  onClosed: () => void;
}

/**
 * A stream of one's own frames: workers look at them, sink shows them, and taps get them,
 * as if a camera had made them.
 *
 *     const slot = producer.acquire();
 *     if (slot !== null) { slot.planes[0].data.fill(128); …; slot.publish(); }
 */
export class Producer implements AsyncDisposable {
  readonly #setup: ProducerSetup;
  readonly #nats: NatsConnection;
  readonly #log: Log;
  readonly #server: BusServer;
  readonly #epochs: ProducerEpochs;
  readonly #taps: Taps;
  readonly #all = new Counters('producer', new Registry());
  readonly #counters: StreamCounters;
  readonly #startedNs = monotonicNs();
  readonly #ticker: NodeJS.Timeout;
  readonly #statusTimer: NodeJS.Timeout;
  #slots: number;
  #seq = 0n;
  /** Frames that found no slot since the last one that did. */
  #missing = 0;
  #state = ServiceState.SERVICE_STATE_RUNNING;
  #closing: Promise<void> | null = null;

  /** @internal Made by `Bus.producer`. @throws BUS_IN_USE, NO_SPACE, OPTION_INVALID */
  constructor(setup: ProducerSetup, parts: { nats: NatsConnection; log: Log }) {
    const { streamId, model, mode, deliveryTtlMs } = setup;
    const producer = setup.server.producer;
    this.#setup = setup;
    this.#nats = parts.nats;
    this.#log = parts.log;
    this.#slots = setup.slots;
    this.#counters = this.#all.stream(streamId);
    const format = frameFormat(setup.format);
    this.#server = createBusServer(setup.server, (event) => this.#onBus(event));
    const publisher = new NatsFramePublisher(parts.nats, { streamId, model, mode }, (reason) => {
      this.#counters.drop(reason);
    });
    this.#epochs = new ProducerEpochs(streamId, this.#server, publisher);
    this.#taps = new Taps({ streamId, producer, mode, live: mode === 'latest', deliveryTtlMs }, parts);
    try {
      this.#open(format);
    } catch (error) {
      void this.#server.close();
      throw error;
    }
    this.#taps.use(this.#epochs);
    this.#announce();
    this.#taps.listen();
    this.#ticker = setInterval(() => this.#tick(), TICK_MS[mode]);
    this.#statusTimer = setInterval(() => this.#publishStatus(), STATUS_INTERVAL_MS);
    this.#publishStatus();
    if (mode === 'lossless') void this.#resendAfterReconnects();
  }

  /** Name of the bus socket; the configuration of infer and sink says `source: bus://<name>`. */
  get name(): string {
    return this.#setup.server.producer;
  }

  /** Size, layout and colour of the frames from now on. */
  get format(): FrameFormat {
    return this.#epochs.current.format;
  }

  /** Consumers that are attached to this producer now, by group. */
  consumers(): Record<string, number> {
    return this.#server.consumers();
  }

  /** The pools that this producer has now, with their consumers and counters. */
  pools(): PoolState[] {
    return this.#server.pools();
  }

  /**
   * A slot to write the next frame into. latest: displaces the oldest frame that nobody
   * holds; null when all are held, and then the frame counts as lost. lossless: null while
   * somebody still has to take what is there. @throws BUS_CLOSED
   */
  acquire(): Slot | null {
    const slot = this.#acquire();
    if (slot === null && this.#setup.mode === 'latest') {
      this.#seq++;
      this.#missing++;
      this.#counters.frameIn();
      this.#counters.drop('pool_exhausted');
    }
    return slot;
  }

  /** Waits for a slot; lossless: so that no frame is lost. @throws BUS_CLOSED, CANCELLED */
  async nextSlot(options: { signal?: AbortSignal } = {}): Promise<Slot> {
    for (;;) {
      if (options.signal?.aborted === true) {
        throw new FramebusError('CANCELLED', `stream ${this.#setup.streamId}: stopped while waiting for a slot`);
      }
      const slot = this.#acquire();
      if (slot !== null) return slot;
      await sleep(TICK_MS.lossless);
      if (this.#closing === null) this.#tick();
    }
  }

  /**
   * A new format, or another number of slots: a new pool. Consumers follow by themselves;
   * frames that are in the old one are still taken. @throws NO_SPACE, OPTION_INVALID, BUS_CLOSED
   */
  setFormat(format: ProducerFormat | FrameFormat, options: { slots?: number } = {}): void {
    this.#mustBeOpen();
    this.#slots = options.slots ?? this.#slots;
    this.#open(frameFormat(format));
    this.#announce();
  }

  /** Waits a while for the last frames to be taken, and ends the stream. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const endMs = performance.now() + DRAIN_MS[this.#setup.mode];
    while (this.#epochs.pending() + this.#taps.pending() > 0 && performance.now() < endMs) {
      await sleep(TICK_MS.lossless);
      this.#tick();
    }
    clearInterval(this.#ticker);
    clearInterval(this.#statusTimer);
    this.#taps.close();
    this.#epochs.close('the producer was closed');
    this.#state = ServiceState.SERVICE_STATE_STOPPED;
    this.#counters.setState(StreamState.STREAM_STATE_ENDED);
    this.#publishStatus();
    await this.#server.close();
    this.#setup.onClosed();
  }

  #mustBeOpen(): void {
    if (this.#closing === null) return;
    throw new FramebusError('BUS_CLOSED', `producer ${this.name}: it was closed by close()`);
  }

  #acquire(): Slot | null {
    this.#mustBeOpen();
    const epoch = this.#epochs.current;
    const slot = epoch.pool.acquire(this.#setup.mode === 'latest');
    if (slot === null) return null;
    epoch.writing++;
    return new Slot(
      slot,
      (publish, index, times) => {
        const generation = publish();
        this.#published(epoch, index, generation, times);
      },
      () => {
        epoch.writing--;
      },
    );
  }

  #published(epoch: ProducerEpoch, slot: number, generation: bigint, times: FrameTimes): void {
    const nowNs = monotonicNs();
    const captured = times.captureTime?.getTime() ?? Date.now();
    const { epoch: uuid, createdUnixNs } = epoch.pool;
    const frame = describeFrame(
      this.#setup.streamId,
      this.name,
      { epoch: uuid, createdUnixNs, format: epoch.format },
      {
        slot,
        generation,
        seq: this.#seq++,
        ptsNs: times.ptsNs ?? nowNs - this.#startedNs,
        captureUnixNs: BigInt(Math.round(captured * 1e3)) * 1_000n,
        captureSource: times.captureTime === undefined ? 'arrival' : 'producer',
        captureUncertaintyNs: 0n,
        decodedMonotonicNs: nowNs,
      },
      this.#missing,
    );
    this.#missing = 0;
    this.#counters.frameIn();
    this.#counters.frameOut();
    if (this.#setup.services) epoch.dispatcher.dispatch(frame);
    this.#taps.dispatch(frame);
  }

  #open(format: FrameFormat): void {
    const { mode, model, memory, interval, services, inFlight, deliveryTtlMs } = this.#setup;
    const inferred = model !== null;
    const groups = services ? routeGroups({ slots: this.#slots, mode, inFlight }) : [];
    const dispatch: EpochOptions['dispatch'] = {
      ...{ inferred, interval, mode, deliveryTtlMs },
      inFlight: groupHold(groups, INFER_GROUP),
    };
    // One more than consumers may hold together: there is always one to write into.
    this.#epochs.open({ format, slots: this.#slots + 1, memory, groups, dispatch });
  }

  #announce(): void {
    const { pool, format } = this.#epochs.current;
    this.#taps.onEpoch({ uuid: pool.epoch, createdUnixNs: pool.createdUnixNs });
    this.#counters.setState(StreamState.STREAM_STATE_PLAYING);
    this.#counters.setSize(format.width, format.height);
    const { width, height, pixelFormat } = format;
    this.#log.info({ stream: this.#setup.streamId, width, height, pixelFormat, slots: this.#slots }, 'new epoch');
  }

  #tick(): void {
    this.#epochs.tick(this.#taps.pending() === 0);
  }

  #onBus(event: BusServerEvent): void {
    if (event.type === 'refused') {
      this.#log.warn({ peerUid: event.peerUid }, `a consumer was refused: ${event.reason}`);
      return;
    }
    const { consumer, group } = event;
    if (event.type === 'attached') {
      this.#taps.attached(consumer);
      return;
    }
    if (event.revoked) this.#log.warn({ consumer, group, reason: event.reason }, 'a consumer lost its frames');
    this.#taps.detached(consumer, group);
    if (group === INFER_GROUP) this.#epochs.lost(event.held);
  }

  async #resendAfterReconnects(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (this.#closing !== null) return;
      if (type !== Events.Reconnect) continue;
      await sleep(RESEND_AFTER_MS, undefined, { ref: false });
      this.#epochs.resend();
    }
  }

  #publishStatus(): void {
    if (!isConnected(this.#nats)) return;
    publishStatus(
      this.#nats,
      makeStatus({
        service: 'producer',
        instance: this.name,
        state: this.#state,
        streams: this.#all.statuses(),
        pools: this.#server.pools(),
        models: [],
        addresses: new Map(),
      }),
    );
  }
}
