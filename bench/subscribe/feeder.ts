import { mkdirSync } from 'node:fs';
import { describeFrame } from '../../lib/bus/descriptor.js';
import { encodeResult } from '../../lib/messages.js';
import type { NatsConnection } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import type { BusServer, FrameFormat, ProducerPool } from '../../native/contract.js';
import { createBusServer, createProducerPool, monotonicNs } from '../../native/index.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { PRODUCER, serverOptions } from '../bus/bus_options.js';

/** Pictures are not what is measured. */
const FORMAT: FrameFormat = {
  width: 64,
  height: 48,
  pixelFormat: 'I420',
  matrix: 'bt601',
  range: 'limited',
  frameRateNumerator: 25,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
};
const SLOTS = 16;
const TICK_MS = 2;
/** A frame that sink has not leased by then is lost to it. */
const DELIVERY_MS = 1_000;

const DETECTIONS = ['person', 'car', 'bicycle'].map((label, classId) => ({
  box: { x: 8 * classId, y: 4, width: 8, height: 16 },
  classId,
  label,
  confidence: 0.8,
}));

interface FedStream {
  id: string;
  pool: ProducerPool;
  seq: number;
}

/** Publishes frames on the bus, and at once a result for each, as ingest and infer do. */
export class Feeder {
  readonly #server: BusServer;
  readonly #nats: NatsConnection;
  readonly #streams: FedStream[];
  #timer: NodeJS.Timeout | null = null;
  published = 0;

  constructor(directory: string, nats: NatsConnection, streams: readonly string[]) {
    mkdirSync(directory, { mode: 0o750, recursive: true });
    this.#server = createBusServer(serverOptions(directory), () => undefined);
    this.#nats = nats;
    this.#streams = streams.map((id) => {
      const groups = [{ name: 'sink', hold: SLOTS - 1 }];
      return { id, pool: createProducerPool(this.#server, { streamId: id, format: FORMAT, memory: 'shm', slots: SLOTS, groups }), seq: 0 };
    });
  }

  /** Publishes so many frames a second, of the streams in turn, until `stop`. */
  start(perSecond: number): void {
    const startMs = performance.now();
    let due = 0;
    this.#timer = setInterval(() => {
      for (; due < ((performance.now() - startMs) * perSecond) / 1_000; due++) this.#publish(this.#streams[due % this.#streams.length]);
    }, TICK_MS);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  async close(): Promise<void> {
    this.stop();
    for (const { pool } of this.#streams) pool.close();
    await this.#server.close();
  }

  #publish(stream: FedStream | undefined): void {
    const slot = stream?.pool.acquire(false);
    if (stream === undefined || !slot) return;
    const { pool } = stream;
    const number = slot.slot;
    const generation = slot.publish();
    const frame = describeFrame(
      stream.id,
      PRODUCER,
      { epoch: pool.epoch, createdUnixNs: pool.createdUnixNs, format: FORMAT },
      {
        slot: number,
        generation,
        seq: BigInt(stream.seq),
        ptsNs: BigInt(stream.seq) * 40_000_000n,
        captureUnixNs: BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)),
        captureSource: 'arrival',
        captureUncertaintyNs: 0n,
        decodedMonotonicNs: monotonicNs(),
      },
      0,
    );
    stream.seq += 1;
    this.published += 1;
    const result = ResultMessage.fromPartial({ frame, status: InferenceStatus.INFERENCE_STATUS_INFERRED, model: 'bench', detections: DETECTIONS });
    this.#nats.publish(subjects.results(stream.id), encodeResult(result));
    setTimeout(() => {
      pool.endDelivery(number, generation, 'sink');
    }, DELIVERY_MS).unref();
  }
}
