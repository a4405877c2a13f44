/** The producer's process: `node producer.js DIRECTORY NATS_URL`. Paces, publishes and measures itself. */
import type { NatsConnection } from 'nats';
import { createBusServer, createProducerPool, monotonicNs, type ProducerPool } from '../../native/index.js';
import { encodeFrame } from '../../lib/messages.js';
import { connectNatsOnce } from '../../lib/nats.js';
import { describeFrame, type PublishedEpoch } from '../../lib/bus/descriptor.js';
import type {
  FrameBlock,
  OpenedPool,
  PacedBlock,
  PoolRequest,
  ProducerUsage,
  SlotAddress,
  Usage,
} from './block.js';
import { GROUP, poolOptions, PRODUCER, serverOptions } from './bus_options.js';
import { CpuMeter } from './cpu_meter.js';
import { serveParent } from './endpoint.js';
import { pace } from './pace.js';
import { framesOf, mark, PIXELS, REQUESTS } from './traffic.js';

interface StreamPool {
  pool: ProducerPool;
  stream: string;
  epoch: PublishedEpoch;
  slots: number;
}

const REQUEST_TIMEOUT_MS = 5_000;
/** The pools of a block are never full when the consumer keeps up. */
const FREE_SLOT_DEADLINE_MS = 5_000;

/** The producing end; called through a Peer. */
export class Producer {
  readonly #server;
  readonly #nats: NatsConnection;
  readonly #pools = new Map<string, StreamPool>();

  constructor(directory: string, nats: NatsConnection) {
    this.#server = createBusServer(serverOptions(directory), () => undefined);
    this.#nats = nats;
  }

  openPools(requests: PoolRequest[]): OpenedPool[] {
    return requests.map(({ stream, format, slots }) => {
      const pool = createProducerPool(this.#server, poolOptions(stream, format, slots));
      const { epoch, createdUnixNs } = pool;
      this.#pools.set(stream, { pool, stream, epoch: { epoch, createdUnixNs, format }, slots });
      return { stream, epoch };
    });
  }

  closePools(): void {
    for (const { pool } of this.#pools.values()) pool.close();
    this.#pools.clear();
  }

  /** Frames through the bus, their descriptors through NATS. */
  async publish(block: FrameBlock): Promise<ProducerUsage> {
    const pools = block.streams.map((stream) => this.#pool(stream));
    const meter = new CpuMeter(block);
    let descriptorBytes = 0;
    await pace(block.warmUp + block.frames, block.perSecond, async (index) => {
      const target = pools[index % pools.length];
      if (target === undefined) return;
      const { pool, stream } = target;
      const slot = pool.acquire(false) ?? (await freeSlot(pool));
      mark(slot.planes(), index);
      const publishedNs = monotonicNs();
      const message = describe(target, index, slot.slot, slot.publish(), publishedNs);
      this.#nats.publish(framesOf(stream, block.way), message);
      descriptorBytes = message.length;
      meter.done(index);
    });
    return { cpuUs: meter.usedUs(), descriptorBytes };
  }

  /** Only the pacing of a block: what the bench's own source costs. */
  async wait(block: PacedBlock): Promise<Usage> {
    const meter = new CpuMeter(block);
    await pace(block.warmUp + block.frames, block.perSecond, (index) => {
      meter.done(index);
    });
    return { cpuUs: meter.usedUs() };
  }

  /** Publishes every slot of an idle pool; nobody is told but the caller. */
  fill(stream: string): Usage & { frames: SlotAddress[] } {
    const { pool, slots } = this.#pool(stream);
    const frames: SlotAddress[] = [];
    const before = process.cpuUsage();
    for (let index = 0; index < slots; index++) {
      const slot = pool.acquire(false);
      if (slot === null) throw new Error(`pool of ${stream}: full at ${index}: ${JSON.stringify(pool.counts())}`);
      mark(slot.planes(), index);
      const number = slot.slot;
      frames.push({ slot: number, generation: slot.publish() });
    }
    const { user, system } = process.cpuUsage(before);
    return { cpuUs: user + system, frames };
  }

  /** Round trips of bare requests; microseconds of those that count. */
  async request(block: PacedBlock, payloadBytes: number): Promise<number[]> {
    const payload = new Uint8Array(payloadBytes).fill(0x55);
    const tripsUs: number[] = [];
    await pace(block.warmUp + block.frames, block.perSecond, async (index) => {
      const startNs = monotonicNs();
      await this.#nats.request(REQUESTS, payload, { timeout: REQUEST_TIMEOUT_MS });
      if (index >= block.warmUp) tripsUs.push(Number(monotonicNs() - startNs) / 1000);
    });
    return tripsUs;
  }

  /** Whole frames inside NATS messages of the server's largest size. */
  async sendPixels(block: PacedBlock, frameBytes: number): Promise<Usage> {
    const pieceBytes = this.#nats.info?.max_payload ?? 1 << 20;
    const frame = new Uint8Array(frameBytes).fill(0x80);
    const meter = new CpuMeter(block);
    await pace(block.warmUp + block.frames, block.perSecond, async (index) => {
      frame[0] = index;
      frame[frameBytes - 1] = index;
      for (let at = 0; at < frameBytes; at += pieceBytes) {
        this.#nats.publish(PIXELS, frame.subarray(at, at + pieceBytes));
      }
      // The client keeps what it cannot send; a frame is sent when the server has it.
      await this.#nats.flush();
      meter.done(index);
    });
    return { cpuUs: meter.usedUs() };
  }

  #pool(stream: string): StreamPool {
    const pool = this.#pools.get(stream);
    if (pool === undefined) throw new Error(`stream ${stream}: has no pool`);
    return pool;
  }
}

async function freeSlot(pool: ProducerPool): Promise<NonNullable<ReturnType<ProducerPool['acquire']>>> {
  const deadlineMs = performance.now() + FREE_SLOT_DEADLINE_MS;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    const slot = pool.acquire(false);
    if (slot !== null) return slot;
    if (performance.now() > deadlineMs) {
      throw new Error(`pool ${pool.epoch}: no free slot; group ${GROUP} takes no frames`);
    }
  }
}

/** The message that ingest would send of such a frame. */
function describe(
  { stream, epoch }: StreamPool,
  index: number,
  slot: number,
  generation: bigint,
  publishedNs: bigint,
): Uint8Array {
  const seq = BigInt(index);
  const frame = describeFrame(
    stream,
    PRODUCER,
    epoch,
    {
      slot,
      generation,
      seq,
      ptsNs: seq * 33_333_333n,
      captureUnixNs: BigInt(Date.now()) * 1_000_000n,
      captureSource: 'arrival',
      captureUncertaintyNs: 5_000_000n,
      decodedMonotonicNs: publishedNs,
    },
    0,
  );
  return encodeFrame({ frame, model: GROUP });
}

const [directory = '', natsUrl = ''] = process.argv.slice(2);
serveParent(new Producer(directory, await connectNatsOnce(natsUrl, 'bench-producer')));
