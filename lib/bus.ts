/**
 * For programs of one's own: the frames of any stream, and streams of one's own.
 *
 *     import { openBus } from 'framebus';
 *     await using bus = await openBus({ config: 'framebus.yaml' });
 *     for await (const frame of bus.frames('gate')) { …; frame.release(); }
 *
 * Everything here is for one thread; frames cannot be sent to others.
 */
import { randomBytes } from 'node:crypto';
import { prepareBusDirectory } from './bus/directory.js';
import { Frames, type Revocation } from './bus/frames.js';
import { Producer } from './bus/producer.js';
import type { ProducerFormat } from './bus/producer_format.js';
import { readToken } from './bus/token.js';
import { loadConfig, type Config } from './config.js';
import { defaultBusDirectory } from './config/locations.js';
import { producerOf } from './config/source_uri.js';
import { withDeadline } from './deadline.js';
import { FramebusError } from './errors.js';
import type { FrameFormat } from '../native/contract.js';
import { createLog, type Log } from './log.js';
import { connectNats, isConnected, keepFrameStreams, type NatsConnection } from './nats.js';
import { NAME } from './subjects.js';

export { Frame } from './bus/frame.js';
export { Frames, type FrameCounters, type Revocation } from './bus/frames.js';
export { Producer } from './bus/producer.js';
export type { ProducerFormat } from './bus/producer_format.js';
export { Slot, type FrameTimes } from './bus/slot.js';
export { describeError, ERRORS, FramebusError, type ErrorCode } from './errors.js';
export type { ColorMatrix, ColorRange, FrameFormat, MemoryKind, PixelFormat, Plane, PoolState } from '../native/contract.js';

export interface BusOptions {
  /** Configuration file of the services; says all that follows. */
  config?: string;
  /** URL of the NATS server, or a connection, which stays the caller's. Needed without `config`. */
  nats?: string | NatsConnection;
  /** Folder of the bus sockets. Default: that of the services, where their configuration says nothing. */
  directory?: string;
  /** What the services' `bus.token_file` says. Default: none. */
  token?: string;
  /** What this program is called on the bus and in logs, of `[A-Za-z0-9_-]`. */
  name?: string;
  /** A pino logger. Default: warnings and errors, on stderr. */
  log?: Log;
  /** Ends waiting for NATS. */
  signal?: AbortSignal;
}

export interface FramesOptions {
  /**
   * latest (the default): the newest frame whenever one is asked for. lossless: every
   * frame, in order; a file is not read on before, a camera goes on and is counted.
   */
  mode?: 'latest' | 'lossless';
  /** Programs that name the same group share its frames: each goes to one of them. Default: none but this loop. */
  group?: string;
  /** Most frames that may be held, that is, not released, at once. Default up to 2; lossless up to 4. */
  hold?: number;
  /** Ends the loop. */
  signal?: AbortSignal;
  /**
   * Held frames were taken back, because one of them was kept for longer than the owner's
   * lease deadline. The loop goes on; lossless ones come again.
   */
  onRevoked?: (revocation: Revocation) => void;
}

/** Options that the configuration's entry of the stream says are taken from there where they are left out. */
export interface ProducerOptions {
  /** Name of the stream. */
  stream: string;
  /** Of the frames; that of somebody else's frame will do. */
  format: ProducerFormat | FrameFormat;
  /** Name of this producer and of its socket, of `[a-z0-9-]`. Default: what `source: bus://…` says, or the stream's. */
  name?: string;
  /** The model whose workers look at the frames; null: none. Default: the stream's, without a configuration none. */
  model?: string | null;
  /** Frames to leave out after each one that is looked at. Default 0. */
  interval?: number;
  /** latest: a newer frame displaces one that nobody took. lossless: `nextSlot` waits. Default latest. */
  mode?: 'latest' | 'lossless';
  /** Frames that all consumers may hold at once. Default 16. */
  slots?: number;
  /** Whether infer and sink get the frames, besides whoever loops over them. Default true. */
  services?: boolean;
  /** Kind of memory. Default shm. */
  memory?: 'shm' | 'dmabuf';
}

const FLUSH_MS = 1_000;
const DEFAULT_SLOTS = 16;
const DEFAULT_IN_FLIGHT = 2;
const DEFAULT_DELIVERY_TTL_MS = 2_000;
const DEFAULT_LEASE_DEADLINE_MS = 10_000;
const PRODUCER_NAME = /^[a-z0-9-]{1,64}$/;
const DEFAULT_HOLD = { latest: 2, lossless: 4 } as const;
/** Of a pool's slots; see `slots` in framebus.example.yaml. */
const MOST_HOLD = 256;
/** Room for what makes a name unique. */
const LONGEST_NAME = 50;

/** Connects to the frame bus; waits until NATS is there. @throws NATS_REFUSED, CANCELLED, CONFIG_INVALID … */
export async function openBus(options: BusOptions): Promise<Bus> {
  const config = options.config === undefined ? null : loadConfig(options.config);
  const name = options.name ?? `program-${process.pid}`;
  if (!NAME.test(name)) throw invalid(`name: "${name}": 1 to 64 of A-Z a-z 0-9 _ -`);
  const log = options.log ?? createLog({ service: 'bus', instance: name, level: 'warn' });
  const wanted = options.nats ?? config?.nats.url;
  if (wanted === undefined) throw invalid('openBus: needs nats, or config');
  if (wanted === 'embedded') {
    throw invalid('nats.url: "embedded" is known to "framebus up" only: set NATS_URL to the address that it logs, or say nats');
  }
  const { signal } = options;
  const nats =
    typeof wanted === 'string'
      ? await connectNats({ url: wanted, name: `framebus ${name}`, log, ...(signal && { signal }) })
      : wanted;
  return new Bus({
    name,
    log,
    nats,
    ownsNats: typeof wanted === 'string',
    directory: options.directory ?? config?.bus.directory ?? defaultBusDirectory(),
    token: options.token ?? readToken(config?.bus.tokenFile ?? null),
    config,
  });
}

interface BusParts {
  name: string;
  log: Log;
  nats: NatsConnection;
  /** Closed with the bus. */
  ownsNats: boolean;
  directory: string;
  token: string;
  config: Config | null;
}

/** What a loop or a producer leaves to be closed. */
interface Part {
  close(): Promise<void>;
}

/** The way to the frames of all streams of this host. */
export class Bus implements AsyncDisposable {
  readonly #parts: BusParts;
  readonly #open = new Set<Part>();
  #closing: Promise<void> | null = null;

  /** @internal Made by `openBus`. */
  constructor(parts: BusParts) {
    this.#parts = parts;
  }

  /**
   * The frames of a stream, from now on. A stream that nobody publishes (yet) is waited
   * for. Nothing is kept for the loop before it asks for its first frame.
   * @throws OPTION_INVALID
   */
  frames(stream: string, options: FramesOptions = {}): Frames {
    const { nats, log, directory, token } = this.#parts;
    const { mode = 'latest', signal, onRevoked = () => undefined } = options;
    const { hold = DEFAULT_HOLD[mode] } = options;
    const member = this.#uniqueName();
    const { group = member } = options;
    if (!NAME.test(stream)) throw invalid(`stream "${stream}": 1 to 64 of A-Z a-z 0-9 _ -`);
    if (!NAME.test(group)) throw invalid(`group "${group}": 1 to 64 of A-Z a-z 0-9 _ -`);
    if (!Number.isInteger(hold) || hold < 1 || hold > MOST_HOLD) {
      throw invalid(`hold ${hold}: a whole number from 1 to ${MOST_HOLD}`);
    }
    this.#mustBeOpen();
    const frames: Frames = new Frames(
      {
        streamId: stream,
        // What is asked for is needed; the default is a wish.
        ...{ mode, group, member, hold, minHold: options.hold ?? 1, directory, token, signal, onRevoked },
        onClosed: () => this.#open.delete(frames),
      },
      { nats, log },
    );
    this.#open.add(frames);
    return frames;
  }

  /**
   * A stream of one's own. For detections and pictures of it, the configuration of infer
   * and sink has it with `source: bus://<name>`.
   * @throws OPTION_INVALID, BUS_DIRECTORY, BUS_IN_USE, NO_SPACE, NATS_NO_JETSTREAM
   */
  async producer(options: ProducerOptions): Promise<Producer> {
    this.#mustBeOpen();
    const { nats, log, directory, token, config } = this.#parts;
    const { stream } = options;
    if (!NAME.test(stream)) throw invalid(`stream "${stream}": 1 to 64 of A-Z a-z 0-9 _ -`);
    const entry = config?.streams.find(({ id }) => id === stream);
    const configured = producerOf(entry?.source ?? '');
    if (entry !== undefined && configured === null) {
      throw invalid(`stream ${stream}: ingest makes its frames; its source in the configuration would have to be bus://NAME`);
    }
    const name = options.name ?? configured ?? stream.toLowerCase().replaceAll('_', '-');
    if (!PRODUCER_NAME.test(name)) throw invalid(`name "${name}": 1 to 64 of a-z 0-9 -`);
    const model = options.model === undefined ? (entry?.model ?? null) : options.model;
    await prepareBusDirectory(directory);
    if (model !== null) await keepFrameStreams(nats, log);
    this.#mustBeOpen();
    const producer: Producer = new Producer(
      {
        streamId: stream,
        format: options.format,
        model,
        slots: options.slots ?? entry?.slots ?? DEFAULT_SLOTS,
        memory: options.memory ?? (entry?.memory === 'dmabuf' ? 'dmabuf' : 'shm'),
        mode: options.mode ?? entry?.mode ?? 'latest',
        services: options.services ?? true,
        interval: options.interval ?? entry?.interval ?? 0,
        inFlight: config?.ingest.inFlight ?? DEFAULT_IN_FLIGHT,
        deliveryTtlMs: config?.ingest.deliveryTtlMs ?? DEFAULT_DELIVERY_TTL_MS,
        server: {
          ...{ directory, producer: name, token },
          allowUids: [...(config?.bus.allowUids ?? [])],
          allowGids: [...(config?.bus.allowGids ?? [])],
          leaseDeadlineMs: config?.bus.leaseDeadlineMs ?? DEFAULT_LEASE_DEADLINE_MS,
        },
        onClosed: () => this.#open.delete(producer),
      },
      { nats, log },
    );
    this.#open.add(producer);
    return producer;
  }

  /** Ends all loops and producers. Frames that are held stay good. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#open].map((part) => part.close()));
    const { nats, ownsNats } = this.#parts;
    // What has been said on the way must still go out.
    if (isConnected(nats)) await withDeadline(nats.flush(), FLUSH_MS, 'NATS flush').catch(() => undefined);
    if (ownsNats) await withDeadline(nats.close(), FLUSH_MS, 'NATS close').catch(() => undefined);
  }

  #uniqueName(): string {
    return `${this.#parts.name.slice(0, LONGEST_NAME)}-${randomBytes(4).toString('hex')}`;
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw new FramebusError('BUS_CLOSED', 'the bus was closed by close()');
  }
}

function invalid(message: string): FramebusError {
  return new FramebusError('OPTION_INVALID', message);
}
