import {
  ErrorCode,
  Events,
  NatsError,
  StorageType,
  type KV,
  type KvEntry,
  type NatsConnection,
  type QueuedIterator,
} from 'nats';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { codeOf, FramebusError, messageOf } from './errors.js';
import type { Log } from './log.js';
import { isConnected } from './nats.js';
import { DESIRED_STATE_BUCKET } from './subjects.js';

/** What is stored under a key. */
export interface DesiredEntry {
  key: string;
  /** null: nothing, or nothing any more. */
  value: Uint8Array | null;
  /** Counts all writes, deletions included; 0: the key was never written. */
  revision: number;
}

export type DesiredListener = (entry: DesiredEntry) => void;

/** Entries that are watched, until it is closed. */
export interface DesiredWatch {
  /** Resolves when the listener knows what there was at the start; also when there is no state to be had. */
  readonly initial: Promise<void>;
  /** Ends it: the listener is not called any more. Idempotent. */
  close(): void;
}

const HISTORY = 5;
/** A change is some hundred bytes. */
const MAX_BYTES = 8 << 20;
const REQUEST_TIMEOUT_MS = 3_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** "wrong last sequence": somebody else has written since. */
const WRONG_REVISION = 10_071;

/** The bucket as one server has it; a restarted server without its files has another one. */
interface Bucket {
  kv: KV;
  /** When it was made: tells buckets of one name apart. */
  created: string;
}

/**
 * What was changed while the services run, in a key-value bucket of JetStream: every
 * service watches what it needs, and a restarted one finds its changes again.
 *
 * The services work without it: a server with no room for files keeps the bucket in
 * memory, and where none can be had at all, what the configuration says counts. Each is
 * one warning. A bucket that went with its server is made again and filled with what
 * the watches of the living services remember.
 */
export class DesiredState {
  readonly #nats: NatsConnection;
  readonly #log: Log;
  readonly #watches = new Set<Watch>();
  #opening: Promise<Bucket> | null = null;
  #warned = '';
  #closed = false;

  private constructor(nats: NatsConnection, log: Log) {
    this.#nats = nats;
    this.#log = log;
  }

  /** Makes the bucket where it is missing. Never fails: without a bucket it warns, and tries again later. */
  static async open(nats: NatsConnection, log: Log): Promise<DesiredState> {
    const state = new DesiredState(nats, log);
    await state.#bucket().catch((error: unknown) => state.#warn(error));
    void state.#followReconnects();
    return state;
  }

  /** What is stored now. Throws STATE_UNAVAILABLE. */
  async get(key: string): Promise<DesiredEntry> {
    const entry = await this.#use(({ kv }) => kv.get(key));
    return entry === null ? { key, value: null, revision: 0 } : toEntry(entry);
  }

  /**
   * Stores a value and resolves to its revision. Throws STATE_CONFLICT, STATE_UNAVAILABLE.
   *
   * @param expectedRevision that the key must have, as `get` and watches say it; null: any
   */
  async put(key: string, value: Uint8Array, expectedRevision: number | null): Promise<number> {
    try {
      const options = expectedRevision === null ? {} : { previousSeq: expectedRevision };
      return await this.#use(({ kv }) => kv.put(key, value, options));
    } catch (error) {
      throw isConflict(error) ? conflict(key, expectedRevision, error) : error;
    }
  }

  /** Deletes a value. Parameters and errors as of `put`. */
  async delete(key: string, expectedRevision: number | null): Promise<void> {
    try {
      // To the client 0 would mean "any".
      if (expectedRevision === 0) {
        await this.#expectNever(key);
        return;
      }
      const options = expectedRevision === null ? {} : { previousSeq: expectedRevision };
      await this.#use(({ kv }) => kv.delete(key, options));
    } catch (error) {
      throw isConflict(error) ? conflict(key, expectedRevision, error) : error;
    }
  }

  /**
   * Tells the listener what is stored, and every change from then on, each key's in
   * order. It goes on over losses of the connection; what changed meanwhile is told then.
   *
   * @param keys one key, or all with `*` in place of their last part
   */
  watch(keys: string, listener: DesiredListener): DesiredWatch {
    const watch = new Watch(keys, listener, this.#log, {
      bucket: () => this.#bucket(),
      restore: (entries) => this.#restore(entries),
      onError: (error) => {
        this.#opening = null;
        this.#warn(error);
      },
      onClose: () => this.#watches.delete(watch),
    });
    this.#watches.add(watch);
    watch.start();
    return watch;
  }

  /** Ends all watches; the connection stays, and may be closed when this has resolved. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const watch of [...this.#watches]) watch.close();
    // The client unsubscribes a moment later, and fails where its connection is closed by then.
    await setImmediate();
  }

  async #expectNever(key: string): Promise<void> {
    if ((await this.get(key)).revision !== 0) throw conflict(key, 0);
  }

  /** Runs one request; a bucket that has gone is made again for it. */
  async #use<T>(request: (bucket: Bucket) => Promise<T>): Promise<T> {
    // The client would keep the request and send it whenever the server is back.
    if (!isConnected(this.#nats)) throw unavailable('the connection to NATS is lost');
    try {
      return await request(await this.#bucket()).catch(async (error: unknown) => {
        if (!isBucketGone(error)) throw error;
        this.#renew();
        return request(await this.#bucket());
      });
    } catch (error) {
      if (isConflict(error) || error instanceof FramebusError) throw error;
      throw unavailable(messageOf(error), error);
    }
  }

  #bucket(): Promise<Bucket> {
    this.#opening ??= openBucket(this.#nats, this.#log).then(
      (bucket) => {
        this.#warned = '';
        return bucket;
      },
      (error: unknown) => {
        this.#opening = null;
        throw error;
      },
    );
    return this.#opening;
  }

  /** A server that comes back may have lost the bucket, and has lost what it was to send us. */
  async #followReconnects(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (this.#closed) return;
      if (type === Events.Reconnect) this.#renew();
    }
  }

  #renew(): void {
    this.#opening = null;
    for (const watch of this.#watches) watch.again();
  }

  /** Puts back what a lost bucket had. What another service has put there already is the same, or newer. */
  async #restore(entries: readonly DesiredEntry[]): Promise<void> {
    const values = entries.filter((entry) => entry.value !== null);
    if (values.length === 0) return;
    this.#log.warn(
      { keys: values.map(({ key }) => key) },
      'what was changed while running went with the NATS server; it is stored again',
    );
    for (const { key, value } of values) {
      if (value === null) continue;
      await this.put(key, value, 0).catch((error: unknown) => {
        if (codeOf(error) !== 'STATE_CONFLICT') throw error;
      });
    }
  }

  /** Once for each cause. */
  #warn(error: unknown): void {
    const why = messageOf(error);
    if (this.#closed || this.#nats.isClosed() || !isConnected(this.#nats) || why === this.#warned) return;
    this.#warned = why;
    this.#log.warn(
      { bucket: DESIRED_STATE_BUCKET, cause: why },
      'NATS has no bucket for what is changed while running: the configuration alone counts until it has',
    );
  }
}

/** What a watch needs of the state that it belongs to. */
interface WatchParts {
  bucket(): Promise<Bucket>;
  restore(entries: readonly DesiredEntry[]): Promise<void>;
  onError(error: unknown): void;
  onClose(): void;
}

class Watch implements DesiredWatch {
  readonly initial: Promise<void>;
  readonly #keys: string;
  readonly #listener: DesiredListener;
  readonly #log: Log;
  readonly #parts: WatchParts;
  /** What the listener was told last. */
  readonly #known = new Map<string, DesiredEntry>();
  #created = '';
  #iterator: QueuedIterator<KvEntry> | null = null;
  #retry = new AbortController();
  #closed = false;
  #resolveInitial: () => void = () => undefined;

  constructor(keys: string, listener: DesiredListener, log: Log, parts: WatchParts) {
    this.#keys = keys;
    this.#listener = listener;
    this.#log = log;
    this.#parts = parts;
    this.initial = new Promise((resolve) => {
      this.#resolveInitial = resolve;
    });
  }

  start(): void {
    void this.#run();
  }

  /** Asks the server anew: nothing it was to send can be counted on. */
  again(): void {
    this.#retry.abort();
    this.#iterator?.stop();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.again();
    this.#resolveInitial();
    this.#parts.onClose();
  }

  async #run(): Promise<void> {
    let waitMs = FIRST_RETRY_MS;
    while (!this.#isClosed()) {
      this.#retry = new AbortController();
      try {
        await this.#follow(() => {
          waitMs = FIRST_RETRY_MS;
        });
      } catch (error) {
        this.#parts.onError(error);
      }
      // Without a bucket the configuration counts: nobody shall wait for it.
      this.#resolveInitial();
      if (this.#isClosed()) return;
      await sleep(waitMs, undefined, { signal: this.#retry.signal, ref: false }).catch(() => undefined);
      waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS);
    }
  }

  /** A function, because the state may change while something is awaited. */
  #isClosed(): boolean {
    return this.#closed;
  }

  /** One subscription, to its end; `onCurrent` when the listener knows all that there is. */
  async #follow(onCurrent: () => void): Promise<void> {
    const { kv, created } = await this.#parts.bucket();
    const seen = new Set<string>();
    let isCurrent = false;
    const settle = (): void => {
      if (isCurrent || this.#isClosed()) return;
      isCurrent = true;
      this.#forget(seen, created);
      onCurrent();
      this.#resolveInitial();
    };
    // The client says so in turn with the entries, or, when none are to come, before it returns.
    let isThrough = false as boolean;
    const onThrough = (): void => {
      isThrough = true;
      if (this.#iterator !== null) settle();
    };
    const iterator = await kv.watch({ key: this.#keys, initializedFn: onThrough });
    this.#iterator = iterator;
    try {
      if (this.#retry.signal.aborted) return;
      if (isThrough && iterator.getPending() === 0) settle();
      for await (const entry of iterator) {
        if (this.#isClosed()) return;
        seen.add(entry.key);
        this.#tell(toEntry(entry));
        if (entry.delta === 0 || (isThrough && iterator.getPending() === 0)) settle();
      }
    } finally {
      this.#iterator = null;
      iterator.stop();
    }
  }

  /** Keys that were there the last time and are not any more: deleted, or gone with their bucket. */
  #forget(seen: ReadonlySet<string>, created: string): void {
    const isSame = this.#created === created || this.#created === '';
    this.#created = created;
    const missing = [...this.#known.values()].filter(({ key, value }) => value !== null && !seen.has(key));
    if (isSame) {
      for (const { key, revision } of missing) this.#tell({ key, value: null, revision });
    } else {
      void this.#parts.restore(missing).catch((error: unknown) => {
        this.#log.warn({ err: error }, 'storing again what was changed while running failed');
      });
    }
  }

  #tell(entry: DesiredEntry): void {
    const known = this.#known.get(entry.key);
    if (known?.revision === entry.revision && (known.value === null) === (entry.value === null)) return;
    this.#known.set(entry.key, entry);
    this.#listener(entry);
  }
}

/** Binds to the bucket, or makes it: in a file, or in memory where there is no room for files. */
async function openBucket(nats: NatsConnection, log: Log): Promise<Bucket> {
  const { kv, storage, created } = await makeBucket(nats, StorageType.File).catch((error: unknown) => {
    if (!isRefused(error)) throw error;
    return makeBucket(nats, StorageType.Memory).catch(() => {
      throw error;
    });
  });
  if (storage === StorageType.Memory) {
    log.warn(
      { bucket: DESIRED_STATE_BUCKET },
      'NATS keeps what is changed while running in memory only: when NATS and all services end, it is forgotten',
    );
  }
  return { kv, created };
}

async function makeBucket(nats: NatsConnection, storage: StorageType): Promise<Bucket & { storage: StorageType }> {
  const kv = await nats.jetstream({ timeout: REQUEST_TIMEOUT_MS }).views.kv(DESIRED_STATE_BUCKET, {
    description: 'framebus: what was changed while running',
    storage,
    history: HISTORY,
    replicas: 1,
    // With a limit, a server without room says so now instead of with the first change.
    max_bytes: MAX_BYTES,
    // What is read must be what was written last.
    allow_direct: false,
  });
  const { streamInfo } = await kv.status();
  return { kv, created: streamInfo.created, storage: streamInfo.config.storage };
}

function toEntry({ key, value, revision, operation }: KvEntry): DesiredEntry {
  return { key, value: operation === 'PUT' ? value : null, revision };
}

const apiError = (error: unknown): number | undefined => (error instanceof NatsError ? error.api_error?.err_code : undefined);

const isConflict = (error: unknown): boolean => apiError(error) === WRONG_REVISION;

/** The server has answered, and says no. */
const isRefused = (error: unknown): boolean => apiError(error) !== undefined;

/** Nobody listens where the bucket's stream should. */
const isBucketGone = (error: unknown): boolean =>
  codeOf(error) === ErrorCode.NoResponders || messageOf(error) === 'stream not found';

function conflict(key: string, expected: number | null, cause?: unknown): FramebusError {
  return new FramebusError('STATE_CONFLICT', `${key}: is not at revision ${String(expected)} any more: somebody else has changed it`, {
    cause,
  });
}

function unavailable(why: string, cause?: unknown): FramebusError {
  return new FramebusError('STATE_UNAVAILABLE', `what is changed while running cannot be read or stored: ${why}`, { cause });
}
