/**
 * The producing end: `node feeder.js DIRECTORY NATS_URL FOLDER WIDTH HEIGHT COUNT`, called through
 * a Peer. Publishes pictures on the bus, and at once a result for each, as ingest and infer do.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import type { NatsConnection } from 'nats';
import { describeFrame } from '../../lib/bus/descriptor.js';
import { encodeResult } from '../../lib/messages.js';
import { connectNatsOnce } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import type { BusServer, FrameFormat, ProducerPool, WritableSlot } from '../../native/contract.js';
import { createBusServer, createProducerPool, monotonicNs } from '../../native/index.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { PRODUCER, serverOptions } from '../bus/bus_options.js';
import { serveParent } from '../bus/endpoint.js';
import { boxes } from './boxes.js';
import { PICTURES_PER_SECOND, pictureFile, type ClipPictures } from './clip_pictures.js';

const SLOTS = 16;
const TICK_MS = 1;
const FRAME_NS = BigInt(Math.round(1e9 / PICTURES_PER_SECOND));

/** fast: as fast as sink takes them, each one. paced: at the pictures' own rate, whoever takes them. */
export type Pace = 'fast' | 'paced';

/** What was published in a while. */
export interface Fed {
  frames: number;
  seconds: number;
}

interface FedStream {
  id: string;
  pool: ProducerPool;
  seq: number;
}

export class Feeder {
  readonly #server: BusServer;
  readonly #nats: NatsConnection;
  readonly #pictures: readonly Buffer[];
  readonly #format: FrameFormat;
  readonly #streams = new Map<string, FedStream>();
  #timer: NodeJS.Timeout | null = null;
  #published = 0;

  constructor(directory: string, nats: NatsConnection, pictures: ClipPictures) {
    mkdirSync(directory, { mode: 0o750, recursive: true });
    this.#server = createBusServer(serverOptions(directory), () => undefined);
    this.#nats = nats;
    this.#pictures = Array.from({ length: pictures.count }, (_, index) => readFileSync(pictureFile(pictures, index)));
    this.#format = {
      width: pictures.width,
      height: pictures.height,
      pixelFormat: 'I420',
      matrix: 'bt601',
      range: 'limited',
      frameRateNumerator: PICTURES_PER_SECOND,
      frameRateDenominator: 1,
      pixelAspectNumerator: 1,
      pixelAspectDenominator: 1,
    };
  }

  /** Feeds a stream, and no other, until `stop`. */
  start(streamId: string, pace: Pace, withBoxes: boolean): void {
    const stream = this.#streams.get(streamId) ?? this.#open(streamId);
    const startMs = performance.now();
    let sent = 0;
    this.stop();
    this.#timer = setInterval(() => {
      const due = pace === 'fast' ? Number.POSITIVE_INFINITY : ((performance.now() - startMs) * PICTURES_PER_SECOND) / 1000;
      for (; sent < due; sent++) {
        const slot = stream.pool.acquire(pace === 'paced');
        if (slot === null) return;
        this.#publish(stream, slot, withBoxes);
      }
    }, TICK_MS);
  }

  /** What it publishes in the time to come. */
  async count(seconds: number): Promise<Fed> {
    const [frames, startMs] = [this.#published, performance.now()];
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return { frames: this.#published - frames, seconds: (performance.now() - startMs) / 1000 };
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #open(id: string): FedStream {
    const groups = [{ name: 'sink', hold: SLOTS - 1 }];
    const pool = createProducerPool(this.#server, { streamId: id, format: this.#format, memory: 'shm', slots: SLOTS, groups });
    const stream = { id, pool, seq: 0 };
    this.#streams.set(id, stream);
    return stream;
  }

  #publish(stream: FedStream, slot: WritableSlot, withBoxes: boolean): void {
    this.#paint(slot, stream.seq);
    const { pool, id } = stream;
    const number = slot.slot;
    const frame = describeFrame(
      id,
      PRODUCER,
      { epoch: pool.epoch, createdUnixNs: pool.createdUnixNs, format: this.#format },
      {
        slot: number,
        generation: slot.publish(),
        seq: BigInt(stream.seq),
        ptsNs: BigInt(stream.seq) * FRAME_NS,
        captureUnixNs: BigInt(Date.now()) * 1_000_000n,
        captureSource: 'arrival',
        captureUncertaintyNs: 0n,
        decodedMonotonicNs: monotonicNs(),
      },
      0,
    );
    const detections = withBoxes ? boxes(stream.seq, this.#format) : [];
    stream.seq += 1;
    this.#published += 1;
    const result = ResultMessage.fromPartial({ frame, status: InferenceStatus.INFERENCE_STATUS_INFERRED, model: 'bench', detections });
    this.#nats.publish(subjects.results(id), encodeResult(result));
  }

  #paint(slot: WritableSlot, seq: number): void {
    const picture = this.#pictures[seq % this.#pictures.length];
    let offset = 0;
    for (const { data, width, height, stride } of slot.planes()) {
      if (stride === width) {
        data.set(picture?.subarray(offset, offset + width * height) ?? []);
        offset += width * height;
        continue;
      }
      for (let row = 0; row < height; row++, offset += width) {
        data.set(picture?.subarray(offset, offset + width) ?? [], row * stride);
      }
    }
  }
}

const [directory = '', natsUrl = '', folder = '', width = '', height = '', count = ''] = process.argv.slice(2);
serveParent(
  new Feeder(directory, await connectNatsOnce(natsUrl, 'bench-feeder'), {
    folder,
    width: Number(width),
    height: Number(height),
    count: Number(count),
  }),
);
