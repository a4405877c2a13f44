import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';
import type {
  BusConsumer,
  EncodeOptions,
  FrameFormat,
  Output,
  OutputEvent,
  OutputOptions,
  Overlay,
  Plane,
  ProducerPool,
  RtspServer,
} from '../../native/contract.js';
import { createBusConsumer, createBusServer, createOutput, createProducerPool, createRtspServer } from '../../native/index.js';
import { emptyOverlay } from '../../services/sink/overlay.js';
import { tempFolder } from './temp.js';
import { CONSUMER, groups, SERVER } from './bus_options.js';

const PRODUCER = 'ingest-0';

/** I420 or NV12, limited range, square pixels, 25 frames a second unless told. */
export function frameFormat(width: number, height: number, rest: Partial<FrameFormat> = {}): FrameFormat {
  return {
    width,
    height,
    pixelFormat: 'I420',
    matrix: 'bt601',
    range: 'limited',
    frameRateNumerator: 25,
    frameRateDenominator: 1,
    pixelAspectNumerator: 1,
    pixelAspectDenominator: 1,
    ...rest,
  };
}

/** H.264 by what the machine has, fast, unless told. */
export function outputOptions(
  format: FrameFormat,
  { encode, ...rest }: Partial<Omit<OutputOptions, 'encode'>> & { encode?: Partial<EncodeOptions> } = {},
): OutputOptions {
  return {
    streamId: 'gate',
    format,
    encode: {
      codec: 'h264',
      encoder: 'auto',
      rateControl: 'cbr',
      bitrateKbps: 2000,
      maxBitrateKbps: 0,
      quality: 23,
      preset: 'ultrafast',
      keyframeIntervalMs: 2000,
      threads: 1,
      ...encode,
    },
    queue: 4,
    ...rest,
  };
}

/** A grey ramp, and on it a white bar that moves with every frame. */
export function paint(planes: readonly Plane[], seq: number): void {
  const [luma, ...chroma] = planes;
  if (!luma) throw new Error('a frame without planes');
  const left = (seq * 8) % (luma.width - 32);
  for (let y = 0; y < luma.height; y++) {
    const row = luma.data.subarray(y * luma.stride, y * luma.stride + luma.width);
    row.fill(40 + Math.floor((120 * y) / luma.height));
    row.fill(235, left, left + 32);
  }
  for (const plane of chroma) plane.data.fill(128);
}

/** A pool of the bus with its consumer, and an output that takes the frames. */
export class OutputRig {
  readonly events: OutputEvent[] = [];
  readonly output: Output;
  pushed = 0;
  full = 0;
  readonly #pool: ProducerPool;
  readonly #consumer: BusConsumer;
  readonly #stepNs: bigint;
  readonly #close: () => Promise<void>;
  #closed = false;

  private constructor(pool: ProducerPool, consumer: BusConsumer, options: OutputOptions, close: () => Promise<void>) {
    this.#pool = pool;
    this.#consumer = consumer;
    this.#close = close;
    this.#stepNs = 1_000_000_000n / BigInt(options.format.frameRateNumerator);
    this.output = createOutput(options, (event) => this.events.push(event));
    onTestFinished(() => this.close());
  }

  static async open(options: OutputOptions): Promise<OutputRig> {
    const directory = tempFolder();
    const { streamId, format } = options;
    const server = createBusServer({ directory, producer: PRODUCER, ...SERVER }, () => undefined);
    const pool = createProducerPool(server, { streamId, format, memory: 'shm', slots: 12, groups: groups(['sink', 11]) });
    const consumer = createBusConsumer({ directory, name: 'test', group: 'sink', maxHeld: 12, ...CONSUMER }, () => undefined);
    await consumer.attach(PRODUCER, pool.epoch);
    return new OutputRig(pool, consumer, options, async () => {
      pool.close();
      await consumer.close();
      await server.close();
    });
  }

  /** One frame through the bus into the output. */
  push(overlay: Partial<Overlay> = {}): 'queued' | 'full' | 'no slot' {
    const slot = this.#pool.acquire(true);
    if (!slot) return 'no slot';
    paint(slot.planes(), this.pushed);
    const generation = slot.publish();
    const lease = this.#consumer.lease(this.#pool.epoch, slot.slot, generation);
    if (typeof lease === 'string') throw new Error(`no lease: ${lease}`);
    const seq = BigInt(this.pushed);
    const outcome = this.output.push(lease.id, seq, seq * this.#stepNs, { ...emptyOverlay(), ...overlay });
    lease.release();
    if (outcome === 'queued') this.pushed++;
    else this.full++;
    return outcome;
  }

  /** Frames at their rate from now on; returns how to stop. */
  roll(overlay: Partial<Overlay> = {}): () => void {
    const startedMs = performance.now();
    const first = this.pushed;
    const timer = setInterval(() => {
      const due = first + ((performance.now() - startedMs) * 1e6) / Number(this.#stepNs);
      if (this.pushed <= due) this.push(overlay);
    }, 5);
    const stop = (): void => {
      clearInterval(timer);
    };
    onTestFinished(stop);
    return stop;
  }

  get encoded(): bigint[] {
    return this.events.flatMap((event) => (event.type === 'encoded' ? [event.seq] : []));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.output.close();
    await this.#close();
  }
}

/** An RTSP server for everybody, closed with the test. */
export function rtspServer(port = 0): RtspServer {
  const options = { host: '127.0.0.1', port, maxClients: 8, transports: ['tcp' as const], sessionTimeoutMs: 60_000, users: [], tls: null };
  const server = createRtspServer(options, () => undefined);
  onTestFinished(() => server.close());
  return server;
}

/** Runs a tool of ffmpeg's; its standard output. Rejects with what it says when it fails. */
export function ffmpegTool(tool: 'ffmpeg' | 'ffprobe', args: readonly string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, ['-v', 'error', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    const complaints: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(chunks));
      else reject(new Error(`${tool} ended with ${String(code)}: ${Buffer.concat(complaints).toString()}`));
    });
  });
}

/** What ffprobe says of the first video stream. */
export async function probe(source: string, args: readonly string[] = []): Promise<Record<string, unknown>> {
  const out = await ffmpegTool('ffprobe', [
    ...args, '-select_streams', 'v:0', '-show_streams', '-of', 'json', source,
  ]);
  const { streams } = JSON.parse(out.toString()) as { streams: Record<string, unknown>[] };
  const [stream] = streams;
  if (!stream) throw new Error(`${source}: no video stream`);
  return stream;
}
