/**
 * The producing end: `node feeder.js DIRECTORY NATS_URL CLIP MODEL`, called through a Peer. Its
 * streams show one picture of a clip again and again: every frame is new for the service, and
 * writing pixels costs nothing here.
 */
import type { NatsConnection } from 'nats';
import { LeasedPicture } from '../../cli/model/leased_picture.js';
import { describeFrame, type PublishedEpoch } from '../../lib/bus/descriptor.js';
import { routeGroups } from '../../lib/bus/route.js';
import { encodeFrame } from '../../lib/messages.js';
import { connectNatsOnce } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import type { FrameFormat, Plane, ProducerPool } from '../../native/contract.js';
import { createBusServer, createProducerPool, monotonicNs } from '../../native/index.js';
import { PRODUCER, serverOptions } from '../bus/bus_options.js';
import { serveParent } from '../bus/endpoint.js';

interface FedStream {
  id: string;
  pool: ProducerPool;
  epoch: PublishedEpoch;
  /** Slots that have the picture in them. */
  painted: Set<number>;
  seq: number;
}

const TICK_MS = 4;
const SLOTS = 8;
const CAPTURE_UNCERTAINTY_NS = 5_000_000n;

/** A picture in memory of its own. */
interface Picture {
  format: FrameFormat;
  planes: Plane[];
}

export class Feeder {
  readonly #server;
  readonly #nats: NatsConnection;
  readonly #picture: Picture;
  readonly #model: string;
  #streams: FedStream[] = [];
  #timer: NodeJS.Timeout | null = null;
  #published = 0;

  constructor(directory: string, nats: NatsConnection, picture: Picture, model: string) {
    this.#server = createBusServer(serverOptions(directory), () => undefined);
    this.#nats = nats;
    this.#picture = picture;
    this.#model = model;
  }

  /** Makes the streams' pools; returns the size of their frames. */
  open(ids: string[]): { width: number; height: number } {
    const { format } = this.#picture;
    const groups = routeGroups({ slots: SLOTS, mode: 'latest', inFlight: SLOTS });
    this.#streams = ids.map((id) => {
      const pool = createProducerPool(this.#server, { streamId: id, format, memory: 'shm', slots: SLOTS, groups });
      const { epoch, createdUnixNs } = pool;
      return { id, pool, epoch: { epoch, createdUnixNs, format }, painted: new Set<number>(), seq: 0 };
    });
    return { width: format.width, height: format.height };
  }

  /** Publishes so many frames a second, over the streams in turn, until `stop`. */
  start(perSecond: number): void {
    const startMs = performance.now();
    let sent = 0;
    this.#published = 0;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - startMs) * perSecond) / 1000;
      for (; sent < due; sent++) this.#publish(this.#streams[sent % this.#streams.length]);
    }, TICK_MS);
  }

  /** Returns how many frames were published since `start`. */
  stop(): number {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    return this.#published;
  }

  #publish(stream: FedStream | undefined): void {
    // The oldest frame that nobody holds makes room: the workers are to find new ones only.
    const slot = stream?.pool.acquire(true);
    if (stream === undefined || slot === undefined || slot === null) return;
    const number = slot.slot;
    if (!stream.painted.has(number)) {
      copyPicture(this.#picture.planes, slot.planes());
      stream.painted.add(number);
    }
    const generation = slot.publish();
    const frame = describeFrame(
      stream.id,
      PRODUCER,
      stream.epoch,
      {
        slot: number,
        generation,
        seq: BigInt(stream.seq),
        ptsNs: BigInt(stream.seq) * 33_333_333n,
        captureUnixNs: BigInt(Date.now()) * 1_000_000n,
        captureSource: 'arrival',
        captureUncertaintyNs: CAPTURE_UNCERTAINTY_NS,
        decodedMonotonicNs: monotonicNs(),
      },
      0,
    );
    stream.seq += 1;
    this.#published += 1;
    this.#nats.publish(subjects.frames(this.#model, stream.id), encodeFrame({ frame, model: this.#model }));
  }
}

function copyPicture(from: readonly Plane[], to: readonly Plane[]): void {
  for (const [index, source] of from.entries()) {
    const target = to[index];
    if (target === undefined) throw new Error(`the slot has ${to.length} planes, the picture ${from.length}`);
    for (let row = 0; row < source.height; row++) {
      const line = source.data.subarray(row * source.stride, row * source.stride + source.width);
      target.data.set(line, row * target.stride);
    }
  }
}

async function readPicture(file: string): Promise<Picture> {
  const picture = await LeasedPicture.open(file);
  const { format } = picture.lease;
  const planes = picture.lease.planes().map((plane) => ({ ...plane, data: plane.data.slice() }));
  await picture.close();
  return { format, planes };
}

const [directory = '', natsUrl = '', clip = '', model = ''] = process.argv.slice(2);
serveParent(new Feeder(directory, await connectNatsOnce(natsUrl, 'bench-feeder'), await readPicture(clip), model));
