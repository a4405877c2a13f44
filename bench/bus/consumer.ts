/** The consumer's process: `node consumer.js DIRECTORY NATS_URL`. Leases, views, releases and measures itself. */
import type { Msg, NatsConnection } from 'nats';
import { createBusConsumer, monotonicNs, type BusConsumer } from '../../native/index.js';
import { createLog } from '../../lib/log.js';
import { decodeFrame } from '../../lib/messages.js';
import { connectNatsOnce, ensureFrameStreams } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import { FrameConsumer } from '../../services/infer/frame_consumer.js';
import type { ConsumerUsage, OpenedPool, PacedBlock, SlotAddress, Usage } from './block.js';
import { consumerOptions, GROUP, PRODUCER } from './bus_options.js';
import { CpuMeter } from './cpu_meter.js';
import { serveParent } from './endpoint.js';
import { ALL_PLAIN_FRAMES, isMarked, PIXELS, REQUESTS } from './traffic.js';

/** A block that is being received. */
interface Reception {
  meter: CpuMeter;
  startMs: number;
  withLatency: boolean;
  latencyUs: number[];
  resolve(usage: ConsumerUsage): void;
  reject(error: Error): void;
}

const BLOCK_DEADLINE_MS = 60_000;
/** Frames that are asked for before they are there, so that none waits for the asking. */
const PULLED_AHEAD = 4;

/** The consuming end; called through a Peer. */
export class Consumer {
  readonly #bus: BusConsumer;
  readonly #nats: NatsConnection;
  #reception: Reception | null = null;
  #received: Promise<ConsumerUsage> | null = null;
  #pixelFrames = 0;
  #pixelBytes = 0;
  #pixelFrameBytes = 0;

  constructor(directory: string, nats: NatsConnection) {
    this.#bus = createBusConsumer(consumerOptions(directory), () => undefined);
    this.#nats = nats;
    nats.subscribe(ALL_PLAIN_FRAMES, { callback: (_error, message) => this.#onDescriptor(message.data) });
    nats.subscribe(PIXELS, { callback: (_error, message) => this.#onPixels(message) });
    nats.subscribe(REQUESTS, { callback: (_error, message) => message.respond() });
  }

  /** Also takes the frames that come the pulled way. */
  async pull(): Promise<void> {
    const pulled = new FrameConsumer(
      this.#nats,
      {
        stream: subjects.LOSSLESS_FRAME_STREAM,
        durable: subjects.losslessFrameConsumer(GROUP),
        filterSubject: subjects.losslessFramesOfModel(GROUP),
        ackWaitMs: BLOCK_DEADLINE_MS,
      },
      (message) => {
        this.#onDescriptor(message.data);
        message.ack();
        pulled.want(PULLED_AHEAD);
      },
      createLog({ service: 'bench' }),
    );
    await ensureFrameStreams(this.#nats);
    await pulled.start();
    pulled.want(PULLED_AHEAD);
  }

  async attach(pools: OpenedPool[]): Promise<void> {
    for (const { epoch } of pools) await this.#bus.attach(PRODUCER, epoch);
  }

  /** To be called, and awaited, before the producer starts: a frame that nobody expects is not taken. */
  expect(block: PacedBlock, withLatency: boolean): void {
    this.#received = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#fail('the last frame did not come');
      }, BLOCK_DEADLINE_MS);
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        this.#reception = null;
        end();
      };
      this.#reception = {
        meter: new CpuMeter(block),
        startMs: 0,
        withLatency,
        latencyUs: [],
        resolve: (usage) => settle(() => resolve(usage)),
        reject: (error) => settle(() => reject(error)),
      };
    });
    // Whoever asks for it hears of a failure.
    this.#received.catch(() => undefined);
  }

  /** As expect(), for frames that come inside messages. */
  expectPixels(block: PacedBlock, frameBytes: number): void {
    this.#pixelFrameBytes = frameBytes;
    this.#pixelFrames = 0;
    this.#pixelBytes = 0;
    this.expect(block, false);
  }

  /** Resolves with the last frame of the block that is expected. */
  received(): Promise<ConsumerUsage> {
    if (this.#received === null) throw new Error('no block is expected');
    return this.#received;
  }

  /** Leases, views and releases frames of which it was told by other means. */
  drain(epoch: string, frames: SlotAddress[]): Usage {
    const before = process.cpuUsage();
    frames.forEach(({ slot, generation }, index) => {
      this.#take(epoch, slot, generation, index);
    });
    const { user, system } = process.cpuUsage(before);
    return { cpuUs: user + system };
  }

  #onDescriptor(data: Uint8Array): void {
    const reception = this.#reception;
    if (reception === null) return;
    const { frame } = decodeFrame(data);
    if (frame?.epoch === undefined) return this.#fail('a descriptor without a frame came');
    const index = Number(frame.seq);
    try {
      const viewedNs = this.#take(frame.epoch.uuid, frame.slot, frame.generation, index);
      if (reception.withLatency && reception.meter.counts(index)) {
        reception.latencyUs.push(Number(viewedNs - frame.decodedMonotonicNs) / 1000);
      }
    } catch (error) {
      return reception.reject(error as Error);
    }
    this.#count(reception, index);
  }

  /** One frame from lease to release; CLOCK_MONOTONIC of the moment when its planes were there. */
  #take(epoch: string, slot: number, generation: bigint, index: number): bigint {
    const lease = this.#bus.lease(epoch, slot, generation);
    if (typeof lease === 'string') throw new Error(`frame ${index}: no lease: ${lease}`);
    const planes = lease.planes();
    const viewedNs = monotonicNs();
    const right = isMarked(planes, index);
    lease.release();
    if (!right) throw new Error(`frame ${index}: the pixels are another frame's`);
    return viewedNs;
  }

  #onPixels({ data }: Msg): void {
    const reception = this.#reception;
    if (reception === null) return;
    const isFirst = this.#pixelBytes === 0;
    this.#pixelBytes += data.length;
    const isLast = this.#pixelBytes === this.#pixelFrameBytes;
    const value = this.#pixelFrames & 0xff;
    if ((isFirst && data[0] !== value) || (isLast && data[data.length - 1] !== value)) {
      return this.#fail(`frame ${this.#pixelFrames}: its pieces are another frame's`);
    }
    if (!isLast) return;
    this.#pixelBytes = 0;
    this.#count(reception, this.#pixelFrames++);
  }

  #count(reception: Reception, index: number): void {
    const progress = reception.meter.done(index);
    if (progress === 'started') reception.startMs = performance.now();
    if (progress !== 'complete') return;
    reception.resolve({
      cpuUs: reception.meter.usedUs(),
      seconds: (performance.now() - reception.startMs) / 1000,
      latencyUs: reception.latencyUs,
    });
  }

  #fail(why: string): void {
    this.#reception?.reject(new Error(why));
  }
}

const [directory = '', natsUrl = ''] = process.argv.slice(2);
serveParent(new Consumer(directory, await connectNatsOnce(natsUrl, 'bench-consumer')));
