import { randomFillSync } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { credentials } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import { encodeResult } from '../../lib/messages.js';
import type { NatsConnection } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import type { VideoCodec } from '../../native/contract_encode.js';
import type { BusServer, FrameFormat, Plane, ProducerPool } from '../../native/contract.js';
import { createBusServer, createProducerPool, monotonicNs } from '../../native/index.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import {
  DetectionServiceClient,
  SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor, PixelFormat } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { lastingNatsClient, natsServer } from './nats.js';
import { runNode, type TestProcess } from './process.js';
import { tempFile, tempFolder } from './temp.js';
import { groups, SERVER } from './bus_options.js';

const PRODUCER = 'ingest-0';
/** Name of the stream whose mode is lossless. */
export const LOSSLESS = 'lossless';
/** Frames per second of every test stream. */
const FPS = 25;

/** I420, limited range, square pixels. */
function frameFormat(width: number, height: number): FrameFormat {
  return {
    width,
    height,
    pixelFormat: 'I420',
    matrix: 'bt601',
    range: 'limited',
    frameRateNumerator: FPS,
    frameRateDenominator: 1,
    pixelAspectNumerator: 1,
    pixelAspectDenominator: 1,
  };
}

/** A grey ramp, and on it a white square that moves on with every frame. */
function paint(planes: readonly Plane[], seq: number, noise: boolean): void {
  const [luma, ...chroma] = planes;
  if (!luma) throw new Error('a frame without planes');
  if (noise) {
    for (const { data } of planes) randomFillSync(data);
    return;
  }
  const side = Math.floor(luma.height / 4);
  const left = (seq * 8) % (luma.width - side);
  for (let y = 0; y < luma.height; y++) {
    const row = luma.data.subarray(y * luma.stride, y * luma.stride + luma.width);
    row.fill(40 + Math.floor((120 * y) / luma.height));
    if (y >= side && y < 2 * side) row.fill(235, left, left + side);
  }
  for (const plane of chroma) plane.data.fill(128);
}

/** The wall clock in bars: 32 bits of the Unix time in milliseconds, highest first, over the lower quarter. */
function paintClock([luma]: readonly Plane[]): void {
  if (!luma) throw new Error('a frame without planes');
  const time = Date.now() >>> 0;
  const bar = Math.floor(luma.width / 32);
  for (let y = Math.ceil((luma.height * 3) / 4); y < luma.height; y++) {
    for (let bit = 0; bit < 32; bit++) {
      const at = y * luma.stride + bit * bar;
      luma.data.fill(((time >>> (31 - bit)) & 1) === 1 ? 235 : 16, at, at + bar);
    }
  }
}

/** What was "seen" in frame `seq`: a person that walks, and a car that nobody is sure of. */
export function detectionsOf(seq: bigint): Detection[] {
  const x = Number(seq % 100n);
  return [
    { box: { x, y: 30, width: 40, height: 80 }, classId: 0, label: 'person', confidence: 0.87, landmarks: [], attributes: [], parts: [], model: '', trackId: 0n, predicted: false, lookedBy: [], trackBox: undefined },
    { box: { x: 150, y: 90, width: 60, height: 30 }, classId: 2, label: 'car', confidence: 0.4, landmarks: [], attributes: [], parts: [], model: '', trackId: 0n, predicted: false, lookedBy: [], trackBox: undefined },
  ];
}

/** When the results of a frame are sent, in milliseconds from now; empty: never. */
export type Plan = (seq: bigint) => number[];

export interface PlayOptions {
  width?: number;
  height?: number;
  fps?: number;
  /** Frames to play; without end by default. */
  count?: number;
  /** Wait for a free slot, as a lossless file does. */
  wait?: boolean;
  /** Pictures that take all the bits that there are, no two alike. */
  noise?: boolean;
  /** The time at which it was made stands in the picture, see `probe.clockMs`. */
  clock?: boolean;
}

/** Publishes frames in the bus as ingest does, and answers for each as infer does. */
export class TestProducer {
  /** Frames that found no slot. */
  missing = 0;
  readonly #nats: NatsConnection;
  readonly #server: BusServer;
  readonly #plan: Plan;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #pools = new Set<ProducerPool>();

  constructor(directory: string, nats: NatsConnection, plan: Plan = () => [0]) {
    this.#nats = nats;
    this.#plan = plan;
    const options = { directory, producer: PRODUCER, ...SERVER };
    this.#server = createBusServer(options, () => undefined);
    onTestFinished(() => this.close());
  }

  /** Begins a new epoch of a stream; returns how to end it. */
  play(streamId: string, options: PlayOptions = {}): () => void {
    const { width = 320, height = 240, fps = FPS, count = Infinity, wait = false, noise = false, clock = false } = options;
    const format = frameFormat(width, height);
    const pool = createProducerPool(this.#server, { streamId, format, memory: 'shm', slots: 16, groups: groups(['sink', 15]) });
    this.#pools.add(pool);
    const startedNs = monotonicNs();
    let seq = 0;
    let missing = 0;
    const timer = setInterval(() => {
      if (seq >= count) return;
      const slot = pool.acquire(false);
      if (!slot) {
        // A file waits for a slot; a camera goes on.
        if (wait) return;
        seq++;
        missing++;
        this.missing++;
        return;
      }
      const number = seq++;
      const planes = slot.planes();
      paint(planes, number, noise);
      if (clock) paintClock(planes);
      const decodedMonotonicNs = monotonicNs();
      const frame = FrameDescriptor.fromPartial({
        streamId,
        producer: PRODUCER,
        epoch: { uuid: pool.epoch, createdUnixNs: pool.createdUnixNs },
        slot: slot.slot,
        generation: slot.publish(),
        seq: BigInt(number),
        ptsNs: decodedMonotonicNs - startedNs,
        captureTime: { unixNs: BigInt(Date.now()) * 1_000_000n },
        decodedMonotonicNs,
        format: { width, height, pixelFormat: PixelFormat.PIXEL_FORMAT_I420 },
        missingBefore: missing,
      });
      missing = 0;
      this.#answer(pool, frame);
    }, 1_000 / fps);
    this.#timers.add(timer);
    return () => {
      clearInterval(timer);
      this.#timers.delete(timer);
      pool.close();
    };
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const pool of this.#pools) pool.close();
    await this.#server.close();
  }

  #answer(pool: ProducerPool, frame: FrameDescriptor): void {
    const result = ResultMessage.fromPartial({
      frame,
      status: InferenceStatus.INFERENCE_STATUS_INFERRED,
      model: 'test',
      detections: detectionsOf(frame.seq),
    });
    const data = encodeResult(result);
    for (const delayMs of this.#plan(frame.seq)) {
      this.#later(delayMs, () => {
        this.#nats.publish(subjects.results(frame.streamId), data);
      });
    }
    // The sink has leased it long before, or is not there.
    this.#later(5_000, () => {
      pool.endDelivery(frame.slot, frame.generation, 'sink');
    });
  }

  #later(delayMs: number, act: () => void): void {
    if (delayMs === 0) {
      act();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }
}

/** Where a running sink serves. */
export interface SinkAddresses {
  page: string;
  grpc: string;
  rtsp: string;
}

/** Ports that a sink is to take; any free one otherwise. */
export interface SinkPorts {
  http?: number;
  grpc?: number;
  rtsp?: number;
}

export interface SinkRigOptions {
  ports?: SinkPorts;
  /** Keys of sink.records, as in YAML: "max_age: 1h". */
  records?: string;
  /** Keys of defaults.osd. */
  osd?: string;
  /** Further outputs of all streams, each as in YAML: "{name: clean}". */
  outputs?: readonly string[];
  /** Keys of sink.rtsp beside the port, as in YAML. */
  rtsp?: string;
  bitrateKbps?: number;
  codec?: VideoCodec;
  /** Folder to record all streams in, and keys of `record`, as in YAML. */
  recordings?: { root: string; record: string };
  /** Folder for the events of all streams, and keys of `events`, as in YAML. */
  events?: { root: string; keys: string };
  /** Items of sink.tiles, as in YAML. */
  tiles?: string;
}

/** A folder for the bus, a nats-server, and sinks to start on them. */
export class SinkRig {
  readonly directory = tempFolder();
  readonly url: string;
  readonly nats: NatsConnection;
  readonly #config: string;

  private constructor(url: string, nats: NatsConnection, streams: readonly string[], options: SinkRigOptions) {
    const { ports = {}, records = '', osd = '', outputs = [], rtsp = '', bitrateKbps = 4000, codec = 'h264', recordings, events } = options;
    this.url = url;
    this.nats = nats;
    chmodSync(this.directory, 0o750);
    this.#config = tempFile(
      'framebus.yaml',
      `log: {level: info, format: json}
bus: {directory: ${this.directory}}
nats: {url: '${url}'}
sink:
  http: {port: ${ports.http ?? 0}}
  grpc: {port: ${ports.grpc ?? 0}}
  rtsp: {port: ${ports.rtsp ?? 0}${rtsp && `, ${rtsp}`}}
  records: {${records}}
  recordings: {root: ${recordings?.root ?? events?.root ?? 'recordings'}, min_free: 0}
  tiles: [${options.tiles ?? ''}]
  encode: {codec: ${codec}, preset: ultrafast, keyframe_interval: 1s, threads: 1, bitrate_kbps: ${bitrateKbps}}
defaults:
  osd: {${osd}}
  outputs: [${outputs.join(', ')}]
  record: {enabled: ${String(recordings !== undefined)}, ${recordings?.record ?? ''}}
  events: {enabled: ${String(events !== undefined)}, ${events?.keys ?? ''}}
streams:
${streams.map((id) => `  ${id}: {source: /clip.mp4, slots: 16, mode: ${id === LOSSLESS ? 'lossless' : 'latest'}}`).join('\n')}
`,
    );
  }

  static async start(streams: readonly string[] = ['gate'], ports: SinkPorts = {}): Promise<SinkRig> {
    const { url } = await natsServer();
    return SinkRig.at(url, streams, { ports });
  }

  /** With a nats-server that is there already. */
  static async at(url: string, streams: readonly string[], options: SinkRigOptions = {}): Promise<SinkRig> {
    return new SinkRig(url, await lastingNatsClient(url), streams, options);
  }

  /** Starts a sink as a process of its own. */
  run(): TestProcess {
    return runNode(['dist/services/sink/main.js', '--config', this.#config]);
  }

  /** Starts a sink and waits until it runs. */
  async sink(): Promise<{ process: TestProcess; addresses: SinkAddresses }> {
    const process = this.run();
    const [line] = await process.output(/^.*sink-0 running.*$/m);
    return { process, addresses: JSON.parse(line) as SinkAddresses };
  }
}

/** The gRPC client of a sink's detections, closed with the test. */
export function detectionClient(address: string): DetectionServiceClient {
  const client = new DetectionServiceClient(address, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
  });
  return client;
}

/** What a subscription has given so far, and how it ended. */
export interface Subscribed {
  /** Those with a record. */
  responses: SubscribeResponse[];
  heartbeats: SubscribeResponse[];
  /** The sink has taken it on: it sees every record from here on. */
  started: Promise<unknown>;
  seqs(): number[];
  error: Promise<{ code: number; details: string }>;
  cancel(): void;
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
}

export function subscribe(address: string, request: Partial<SubscribeRequest> = {}): Subscribed {
  const call = detectionClient(address).subscribe(SubscribeRequest.fromPartial(request));
  const responses: SubscribeResponse[] = [];
  const heartbeats: SubscribeResponse[] = [];
  call.on('data', (response: SubscribeResponse) => {
    (response.record === undefined ? heartbeats : responses).push(response);
  });
  const error = new Promise<{ code: number; details: string }>((resolve) => {
    call.on('error', (e: Error) => {
      resolve(e as unknown as { code: number; details: string });
    });
  });
  return {
    responses,
    heartbeats,
    started: new Promise((resolve) => {
      call.on('metadata', resolve);
    }),
    seqs: () => responses.map((r) => Number(r.record?.seq)),
    error,
    cancel: () => {
      call.cancel();
    },
    pause: () => {
      call.pause();
    },
    resume: () => {
      call.resume();
    },
  };
}
