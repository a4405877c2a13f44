import { mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { NatsServer } from '../../cli/nats_server.js';
import { threadsCpuUs } from '../stages/command_cpu.js';
import type { FrameBlock, OpenedPool, PacedBlock, PoolRequest } from './block.js';
import type { Consumer } from './consumer.js';
import { FRAME_SIZES, frameBytes } from './frame_sizes.js';
import { Peer } from './peer.js';
import type { Producer } from './producer.js';

/** What a block of frames has cost, per delivered frame. */
export interface FrameCost {
  /** Producer's and consumer's process together. */
  cpuUs: number;
  /** nats-server's own. */
  natsServerCpuUs: number;
  /** Delivered frames a second. */
  framesPerSecond: number;
  /** publish() to planes(), when asked for. */
  latencyUs: number[];
  descriptorBytes: number;
}

/** A nats-server, a producer's and a consumer's process; what can be measured between them. */
export class BusRig {
  readonly #nats: NatsServer;
  readonly #producer: Peer<Producer>;
  readonly #consumer: Peer<Consumer>;

  private constructor(nats: NatsServer, producer: Peer<Producer>, consumer: Peer<Consumer>) {
    this.#nats = nats;
    this.#producer = producer;
    this.#consumer = consumer;
  }

  static async start(folder: string): Promise<BusRig> {
    const directory = path.join(mkdtempSync(path.join(folder, 'rig-')), 'bus');
    mkdirSync(directory, { mode: 0o750 });
    const nats = await NatsServer.start({ directory: folder });
    try {
      const producer = await Peer.start<Producer>('producer', [directory, nats.url]);
      const consumer = await Peer.start<Consumer>('consumer', [directory, nats.url]);
      await consumer.ask('pull');
      return new BusRig(nats, producer, consumer);
    } catch (error) {
      await nats.close();
      throw error;
    }
  }

  async open(requests: PoolRequest[]): Promise<OpenedPool[]> {
    const pools = await this.#producer.ask('openPools', requests);
    await this.#consumer.ask('attach', pools);
    return pools;
  }

  closePools(): Promise<void> {
    return this.#producer.ask('closePools');
  }

  /** A block of frames, published and taken. */
  async frames(block: FrameBlock, withLatency: boolean): Promise<FrameCost> {
    await this.#consumer.ask('expect', block, withLatency);
    const server = this.#serverMeter(block);
    const [consumer, producer] = await Promise.all([
      this.#consumer.ask('received'),
      this.#producer.ask('publish', block),
    ]);
    return {
      cpuUs: (consumer.cpuUs + producer.cpuUs) / block.frames,
      natsServerCpuUs: server(),
      framesPerSecond: block.frames / consumer.seconds,
      latencyUs: consumer.latencyUs,
      descriptorBytes: producer.descriptorBytes,
    };
  }

  /**
   * CPU microseconds of both sides for a frame of the pool, without NATS: all
   * slots are published, then all are taken, `rounds` times; the list of them
   * goes through the processes' IPC and is not counted.
   */
  async bareFrame({ stream, epoch }: OpenedPool, rounds: number): Promise<number> {
    let cpuUs = 0;
    let frames = 0;
    for (let round = 0; round < rounds; round++) {
      const filled = await this.#producer.ask('fill', stream);
      const drained = await this.#consumer.ask('drain', epoch, filled.frames);
      // The first round warms up.
      if (round === 0) continue;
      cpuUs += filled.cpuUs + drained.cpuUs;
      frames += filled.frames.length;
    }
    return cpuUs / frames;
  }

  /** CPU microseconds that pacing alone costs the producer for each frame. */
  async pacing(block: PacedBlock): Promise<number> {
    return (await this.#producer.ask('wait', block)).cpuUs / block.frames;
  }

  /** Round trips of bare requests, in microseconds. */
  requests(block: PacedBlock, payloadBytes: number): Promise<number[]> {
    return this.#producer.ask('request', block, payloadBytes);
  }

  /** CPU microseconds of a 1080p frame inside NATS messages: both sides and the server. */
  async pixelsInMessages(block: PacedBlock): Promise<number> {
    const bytes = frameBytes(FRAME_SIZES['1080p']);
    await this.#consumer.ask('expectPixels', block, bytes);
    const server = this.#serverMeter(block);
    const [consumer, producer] = await Promise.all([
      this.#consumer.ask('received'),
      this.#producer.ask('sendPixels', block, bytes),
    ]);
    return (consumer.cpuUs + producer.cpuUs) / block.frames + server();
  }

  async close(): Promise<void> {
    await this.#consumer.close();
    await this.#producer.close();
    await this.#nats.close();
  }

  /** The server's CPU microseconds a frame since now; its share is the same while the others warm up. */
  #serverMeter({ warmUp, frames }: PacedBlock): () => number {
    const before = threadsCpuUs(this.#nats.pid);
    return () => (threadsCpuUs(this.#nats.pid) - before) / (warmUp + frames);
  }
}
