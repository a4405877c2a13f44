import {
  connect,
  DiscardPolicy,
  ErrorCode,
  Events,
  NatsError,
  RetentionPolicy,
  StorageType,
  type ConnectionOptions,
  type JetStreamManager,
  type NatsConnection,
  type StreamConfig,
} from 'nats';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, FramebusError, messageOf } from './errors.js';
import { redactUrl, type Log } from './log.js';
import { ALL_FRAMES, ALL_LOSSLESS_FRAMES, FRAME_STREAM, LOSSLESS_FRAME_STREAM } from './subjects.js';

export type { NatsConnection } from 'nats';

export interface ConnectOptions {
  /** One server or several, separated by commas; user, password or token as in any URL. */
  url: string;
  /** Name of the connection, as nats-server shows it. */
  name: string;
  log: Log;
  /** Ends the tries. */
  signal?: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 3_000;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
const RECONNECT_WAIT_MS = 500;
// Two pings unanswered mean a dead server: a pulled cable is noticed after 10 s.
const PING_INTERVAL_MS = 5_000;

/**
 * Connects, trying again with backoff until it works or `signal` is aborted.
 * Later losses of the connection are mended without end, and logged.
 * Throws NATS_REFUSED, and CANCELLED when aborted.
 */
export async function connectNats(options: ConnectOptions): Promise<NatsConnection> {
  const { url, log, signal } = options;
  const shown = redactUrl(url);
  const isAborted = (): boolean => signal?.aborted === true;
  for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
    if (isAborted()) throw cancelled(shown);
    try {
      const nats = await connectUnlessAborted(options);
      log.info({ url: shown, server: nats.info?.version }, 'connected to NATS');
      void watch(nats, shown, log);
      return nats;
    } catch (error) {
      if (isAborted()) throw cancelled(shown);
      if (isRefusal(error)) {
        throw new FramebusError('NATS_REFUSED', `NATS at ${shown}: ${messageOf(error)}`, { cause: error });
      }
      log.warn(
        { url: shown, retryInMs: waitMs },
        `NATS at ${shown} is not reachable (${reason(error)}); trying again in ${waitMs / 1_000} s`,
      );
    }
    await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}

/** One try, given up at once when the signal comes. */
async function connectUnlessAborted(options: ConnectOptions): Promise<NatsConnection> {
  const connecting = connect(connectionOptions(options));
  const { signal } = options;
  if (signal === undefined) return connecting;
  const stop = new AbortController();
  const aborted = once(signal, 'abort', { signal: stop.signal }).then(
    () => undefined,
    () => undefined,
  );
  try {
    const nats = await Promise.race([connecting, aborted]);
    if (nats !== undefined) return nats;
    void connecting.then(
      (late) => late.close(),
      () => undefined,
    );
    throw cancelled(redactUrl(options.url));
  } finally {
    stop.abort();
  }
}

/** Connects once. Throws NATS_UNREACHABLE, NATS_REFUSED. For commands that a person waits for. */
export async function connectNatsOnce(url: string, name: string, timeoutMs = 2_000): Promise<NatsConnection> {
  try {
    return await connect({ ...servers(url), name, timeout: timeoutMs, reconnect: false });
  } catch (error) {
    const code = isRefusal(error) ? 'NATS_REFUSED' : 'NATS_UNREACHABLE';
    throw new FramebusError(code, `NATS at ${redactUrl(url)}: ${reason(error)}`, { cause: error });
  }
}

function connectionOptions({ url, name }: ConnectOptions): ConnectionOptions {
  return {
    ...servers(url),
    name,
    timeout: CONNECT_TIMEOUT_MS,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: 250,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
  };
}

/** Servers and credentials of a URL; the client takes credentials only apart from it. */
function servers(url: string): Pick<ConnectionOptions, 'servers' | 'user' | 'pass' | 'token' | 'tls'> {
  const urls = url.split(',').map((text) => new URL(text.trim()));
  const first = urls[0];
  const user = decodeURIComponent(first?.username ?? '');
  const pass = decodeURIComponent(first?.password ?? '');
  return {
    servers: urls.map(({ hostname, port }) => `${hostname}:${port === '' ? '4222' : port}`),
    ...(user !== '' && pass !== '' ? { user, pass } : {}),
    ...(user !== '' && pass === '' ? { token: user } : {}),
    ...(first?.protocol === 'tls:' ? { tls: {} } : {}),
  };
}

function cancelled(url: string): FramebusError {
  return new FramebusError('CANCELLED', `NATS at ${url}: stopped before it was reachable`);
}

function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  return (
    code === ErrorCode.AuthorizationViolation ||
    code === ErrorCode.AuthenticationExpired ||
    code === ErrorCode.AuthenticationTimeout ||
    code === ErrorCode.AccountExpired
  );
}

/** Why a connection failed, in a few words. */
function reason(error: unknown): string {
  const below = error instanceof NatsError ? error.chainedError : undefined;
  const text = `${messageOf(error)} ${messageOf(below ?? '')} ${codeOf(error) ?? ''}`;
  if (/ECONNREFUSED|CONNECTION_REFUSED/.test(text)) return 'connection refused';
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return 'unknown host';
  if (/TIMEOUT/.test(text)) return 'no answer in time';
  return messageOf(below ?? error);
}

const disconnected = new WeakSet<NatsConnection>();

/**
 * Whether a message that is published now goes out at once. The client keeps
 * messages without bound while it has no server: what is worth nothing later
 * must not be published then.
 */
export function isConnected(nats: NatsConnection): boolean {
  return !nats.isClosed() && !disconnected.has(nats);
}

/** Notes and logs what happens to a connection until it is closed. */
async function watch(nats: NatsConnection, url: string, log: Log): Promise<void> {
  for await (const status of nats.status()) {
    if (status.type === Events.Disconnect) disconnected.add(nats);
    if (status.type === Events.Reconnect) disconnected.delete(nats);
    if (status.type === Events.Disconnect) {
      log.warn({ url }, `connection to NATS at ${url} is lost; trying to get it back`);
    } else if (status.type === Events.Reconnect) {
      log.info({ url }, 'connected to NATS again');
    } else if (status.type === Events.Error) {
      log.warn({ url, cause: JSON.stringify(status.data) }, 'NATS reported an error');
    }
  }
}

const SECOND_NS = 1_000_000_000;

/** Newest frame of each stream; whatever nobody took is worthless after a while. */
const FRAMES: Partial<StreamConfig> & { name: string } = {
  name: FRAME_STREAM,
  description: 'framebus: newest frame of each stream, for the workers of its model',
  subjects: [ALL_FRAMES],
  storage: StorageType.Memory,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.Old,
  max_msgs_per_subject: 1,
  max_age: 10 * SECOND_NS,
  // The server's default is longer than max_age, which it then refuses.
  duplicate_window: 10 * SECOND_NS,
};

/** Every frame, until a worker has answered for it. Bounded by the pools; the limit is a net. */
const LOSSLESS_FRAMES: Partial<StreamConfig> & { name: string } = {
  name: LOSSLESS_FRAME_STREAM,
  description: 'framebus: every frame of lossless streams, for the workers of their model',
  subjects: [ALL_LOSSLESS_FRAMES],
  storage: StorageType.Memory,
  retention: RetentionPolicy.Workqueue,
  discard: DiscardPolicy.New,
  max_msgs: 100_000,
};

/**
 * Makes the JetStream streams of frame descriptors, or brings existing ones to
 * this version's settings. Idempotent. Throws NATS_NO_JETSTREAM.
 */
export async function ensureFrameStreams(nats: NatsConnection): Promise<void> {
  const manager = await nats.jetstreamManager({ checkAPI: false });
  for (const config of [FRAMES, LOSSLESS_FRAMES]) await ensureStream(manager, config);
}

async function ensureStream(manager: JetStreamManager, config: typeof FRAMES): Promise<void> {
  try {
    await manager.streams.add(config);
  } catch (error) {
    if (isJetStreamMissing(error)) {
      throw new FramebusError('NATS_NO_JETSTREAM', 'NATS: the server has no JetStream', { cause: error });
    }
    if (!isJetStreamError(error, STREAM_NAME_IN_USE)) throw error;
    await updateStream(manager, config);
  }
}

/** Storage and retention cannot be changed; a stream that differs in them is made anew. */
async function updateStream(manager: JetStreamManager, config: typeof FRAMES): Promise<void> {
  try {
    await manager.streams.update(config.name, config);
  } catch (error) {
    if (!(error instanceof NatsError) || error.api_error === undefined) throw error;
    // What is in it is a few seconds of descriptors.
    await manager.streams.delete(config.name);
    await manager.streams.add(config);
  }
}

/** "stream name already in use with a different configuration". */
const STREAM_NAME_IN_USE = 10_058;
/** "JetStream not enabled", for the server and for the account. */
const NOT_ENABLED = [10_076, 10_039];

function isJetStreamError(error: unknown, code: number): boolean {
  return error instanceof NatsError && error.api_error?.err_code === code;
}

function isJetStreamMissing(error: unknown): boolean {
  return codeOf(error) === ErrorCode.NoResponders || NOT_ENABLED.some((code) => isJetStreamError(error, code));
}

/**
 * Keeps the streams there: now, and again after each reconnect, because memory
 * streams go with a restarted server. Resolves when they are there for the first
 * time. Throws NATS_NO_JETSTREAM.
 */
export async function keepFrameStreams(nats: NatsConnection, log: Log): Promise<void> {
  await ensureFrameStreams(nats);
  void ensureAfterReconnects(nats, log);
}

async function ensureAfterReconnects(nats: NatsConnection, log: Log): Promise<void> {
  for await (const status of nats.status()) {
    if (status.type !== Events.Reconnect) continue;
    for (let tries = 1; !nats.isClosed(); tries++) {
      try {
        await ensureFrameStreams(nats);
        break;
      } catch (error) {
        // JetStream answers a moment after the server does.
        if (tries % 10 === 1) log.warn({ err: error }, 'making the frame streams anew failed; trying again');
        await sleep(200);
      }
    }
  }
}
