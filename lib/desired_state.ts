import { Events, type NatsConnection } from 'nats';
import { setImmediate } from 'node:timers/promises';
import { isBucketGone, isConflict, openBucket, type Bucket } from './desired_state/bucket.js';
import { toEntry, type DesiredEntry, type DesiredListener, type DesiredWatch } from './desired_state/entry.js';
import { Watch } from './desired_state/watch.js';
import { codeOf, FramebusError, messageOf } from './errors.js';
import type { Log } from './log.js';
import { isConnected } from './nats.js';
import { DESIRED_STATE_BUCKET } from './subjects.js';

export type { DesiredEntry, DesiredListener, DesiredWatch } from './desired_state/entry.js';

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

function conflict(key: string, expected: number | null, cause?: unknown): FramebusError {
  return new FramebusError('STATE_CONFLICT', `${key}: is not at revision ${String(expected)} any more: somebody else has changed it`, {
    cause,
  });
}

function unavailable(why: string, cause?: unknown): FramebusError {
  return new FramebusError('STATE_UNAVAILABLE', `what is changed while running cannot be read or stored: ${why}`, { cause });
}
