import type { KvEntry, QueuedIterator } from 'nats';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';
import type { Bucket } from './bucket.js';
import { toEntry, type DesiredEntry, type DesiredListener, type DesiredWatch } from './entry.js';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;

/** What a watch needs of the state that it belongs to. */
export interface WatchParts {
  bucket(): Promise<Bucket>;
  restore(entries: readonly DesiredEntry[]): Promise<void>;
  onError(error: unknown): void;
  onClose(): void;
}

/** Follows the bucket over all that may happen to it and to the connection. */
export class Watch implements DesiredWatch {
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
