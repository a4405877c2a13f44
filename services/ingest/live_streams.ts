import type { StreamConfig } from '../../lib/config.js';
import type { DesiredState, DesiredWatch } from '../../lib/desired_state.js';
import { FramebusError } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import {
  configuredSettings,
  differingFields,
  watchStreamSettings,
  type LiveSettings,
  type StreamChange,
} from '../../lib/stream_settings.js';
import type { WorkerModels } from './worker_models.js';

/** A stream as it is now. */
export interface LiveStream {
  readonly config: StreamConfig;
  /** What holds: frames go by it. */
  readonly settings: LiveSettings;
  /** What was asked for last; differs from what holds while its model is being loaded. */
  readonly wanted: StreamChange;
}

export interface LiveStreamsParts {
  state: Pick<DesiredState, 'watch'>;
  workers: WorkerModels;
  /** Frames of a stream go by these settings from now on. */
  apply: (streamId: string, settings: LiveSettings) => void;
  log: Log;
  nowMs: () => number;
}

/** Somebody who waits for a change to hold. */
interface Waiter {
  revision: number;
  done: (error: FramebusError | null) => void;
}

interface Entry {
  config: StreamConfig;
  settings: LiveSettings;
  wanted: StreamChange;
  wantedSinceMs: number;
  /** What has been logged of the change: once is enough. */
  complaint: string;
  waiters: Set<Waiter>;
}

/**
 * Brings the streams to what is wanted of them. All of a change holds at once: with
 * another model, when a worker has it; until then frames go on as before, so that none
 * goes un-inferred because of the change.
 */
export class LiveStreams {
  readonly #streams: ReadonlyMap<string, Entry>;
  readonly #parts: LiveStreamsParts;
  #watch: DesiredWatch | null = null;
  #started = false;
  #closed = false;

  constructor(streams: readonly StreamConfig[], parts: LiveStreamsParts) {
    this.#parts = parts;
    this.#streams = new Map(streams.map((config) => [config.id, newEntry(config)]));
  }

  /** Resolves when what was changed before is known: streams begin with it. */
  async start(): Promise<void> {
    const { state, log } = this.#parts;
    const configs = [...this.#streams.values()].map(({ config }) => config);
    this.#watch = watchStreamSettings(state, configs, (change) => this.#told(change), log);
    await this.#watch.initial;
    this.#started = true;
  }

  /** In the order of the configuration. */
  all(): LiveStream[] {
    return [...this.#streams.values()];
  }

  /** Throws STREAM_NOT_FOUND, which names the streams that there are. */
  require(streamId: string): LiveStream {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) return stream;
    const known = [...this.#streams.keys()].join(', ');
    throw new FramebusError('STREAM_NOT_FOUND', `stream "${streamId}": not found; known are ${known}`);
  }

  /** Looks again at what could not hold yet: a worker has said how it is. */
  look(): void {
    for (const entry of this.#streams.values()) this.#bring(entry);
  }

  /**
   * Waits until a change of a stream holds. Throws MODEL_UNLOADABLE when no worker can
   * load its model, DEADLINE naming how the workers stand, SHUTTING_DOWN.
   */
  async holds(streamId: string, revision: number, deadlineMs: number): Promise<void> {
    const entry = this.#streams.get(streamId);
    if (entry === undefined) return;
    if (this.#closed) throw stopping();
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const done = (error: FramebusError | null): void => {
          entry.waiters.delete(waiter);
          if (error === null) resolve();
          else reject(error);
        };
        const waiter: Waiter = { revision, done };
        entry.waiters.add(waiter);
        timer = setTimeout(() => done(this.#late(entry, revision, deadlineMs)), deadlineMs);
        this.#bring(entry);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all waits with SHUTTING_DOWN. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#watch?.close();
    for (const { waiters } of this.#streams.values()) for (const { done } of [...waiters]) done(stopping());
  }

  #told(change: StreamChange): void {
    const entry = this.#streams.get(change.streamId);
    if (entry === undefined) return;
    if (change.settings.model !== entry.wanted.settings.model) entry.wantedSinceMs = this.#parts.nowMs();
    entry.wanted = change;
    entry.complaint = '';
    // Before the first frame there is nothing to go on with: the model is loaded, or waited for as at any start.
    if (this.#started) this.#bring(entry);
    else this.#hold(entry);
  }

  #bring(entry: Entry): void {
    const { config, settings, wanted, wantedSinceMs } = entry;
    const { model } = wanted.settings;
    if (model === null || model === settings.model) {
      this.#hold(entry);
      return;
    }
    const verdict = this.#parts.workers.verdict(model, config.id, wantedSinceMs);
    if (verdict.kind === 'ready') this.#hold(entry);
    if (verdict.kind !== 'failed') return;
    const error = new FramebusError('MODEL_UNLOADABLE', `stream "${config.id}": no worker can load model "${model}": ${verdict.reason}`);
    this.#complain(entry, error.message);
    this.#settle(entry, error);
  }

  /** What is wanted holds from now on. */
  #hold(entry: Entry): void {
    const { config, wanted } = entry;
    const changed = differingFields(entry.settings, wanted.settings);
    if (changed.length > 0) {
      entry.settings = wanted.settings;
      this.#parts.apply(config.id, entry.settings);
      this.#parts.log.info({ stream: config.id, revision: wanted.revision, changed }, 'settings changed');
    }
    this.#settle(entry, null);
  }

  #settle(entry: Entry, error: FramebusError | null): void {
    for (const { revision, done } of [...entry.waiters]) if (entry.wanted.revision >= revision) done(error);
  }

  /** Once a change: nobody may be waiting for the answer. */
  #complain(entry: Entry, why: string): void {
    if (entry.complaint === why) return;
    entry.complaint = why;
    const { config, settings, wanted } = entry;
    this.#parts.log.error(
      { stream: config.id, model: settings.model, revision: wanted.revision },
      `${why}; frames go on as before`,
    );
  }

  #late({ config, wanted, wantedSinceMs }: Entry, revision: number, deadlineMs: number): FramebusError {
    const seconds = `${deadlineMs / 1_000} s`;
    const { model } = wanted.settings;
    if (wanted.revision < revision || model === null) {
      return new FramebusError('DEADLINE', `stream "${config.id}": NATS has not handed the change on within ${seconds}`);
    }
    const verdict = this.#parts.workers.verdict(model, config.id, wantedSinceMs);
    const why = verdict.kind === 'waiting' ? `: ${verdict.why}` : '';
    return new FramebusError('DEADLINE', `stream "${config.id}": no worker has model "${model}" within ${seconds}${why}`, {
      remedy: 'Start a worker ("framebus infer"), or see the log of those that there are; nothing was changed.',
    });
  }
}

const stopping = (): FramebusError => new FramebusError('SHUTTING_DOWN', 'StreamService: ingest is stopping');

const newEntry = (config: StreamConfig): Entry => ({
  config,
  settings: configuredSettings(config),
  wanted: { streamId: config.id, settings: configuredSettings(config), desired: null, revision: 0 },
  wantedSinceMs: 0,
  complaint: '',
  waiters: new Set(),
});
