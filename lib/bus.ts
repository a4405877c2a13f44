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
import { readToken } from './bus/token.js';
import { Frames, type Revocation } from './bus/frames.js';
import { loadConfig, type Config } from './config.js';
import { defaultBusDirectory } from './config/locations.js';
import { FramebusError } from './errors.js';
import { createLog, type Log } from './log.js';
import { connectNats, type NatsConnection } from './nats.js';
import { NAME } from './subjects.js';

export { Frame } from './bus/frame.js';
export { Frames, type FrameCounters, type Revocation } from './bus/frames.js';
export { ERRORS, FramebusError, type ErrorCode } from './errors.js';
export type { ColorMatrix, ColorRange, FrameFormat, MemoryKind, PixelFormat, Plane } from '../native/contract.js';

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
  /** A pino logger. Default: warnings and errors, as text, on stderr. */
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
  /** Most frames that may be held, that is, not released, at once. Default 2; lossless 4. */
  hold?: number;
  /** Ends the loop. */
  signal?: AbortSignal;
  /**
   * Held frames were taken back, because one of them was kept for longer than the owner's
   * lease deadline. The loop goes on; lossless ones come again.
   */
  onRevoked?: (revocation: Revocation) => void;
}

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
        ...{ mode, group, member, hold, directory, token, signal, onRevoked },
        onClosed: () => this.#open.delete(frames),
      },
      { nats, log },
    );
    this.#open.add(frames);
    return frames;
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
    // What has been said on the way must still go out.
    if (this.#parts.ownsNats) await this.#parts.nats.drain();
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
