import type { DesiredEntry, DesiredState, DesiredWatch } from '../../lib/desired_state.js';
import { codeOf, FramebusError, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { decodeDesiredModel, encodeDesiredModel, type Unversioned } from '../../lib/messages.js';
import { ALL_DESIRED_MODELS, desiredModel, nameOfKey } from '../../lib/subjects.js';
import type { DesiredModel, ServedModel as ServedModelStatus } from '#proto/framebus/model/v1/served_model.js';
import type { ModelRegistry } from './model_registry.js';

export interface DesiredModelsParts {
  state: Pick<DesiredState, 'get' | 'put' | 'delete' | 'watch'>;
  registry: ModelRegistry;
  log: Log;
}

/** A change that is asked for. */
export interface ModelChange {
  /** Served name. */
  name: string;
  /** Name or absolute path; null: the one that serves the name. */
  manifest: string | null;
  /** Aborted when nobody waits for the change any more: it is not made then. */
  signal: AbortSignal;
}

type Wish = Unversioned<DesiredModel>;

/**
 * What shall serve which name, on all workers. A change that is asked for here is tried
 * here first; when the model is loaded and the change is stored, it takes over, and the
 * other workers follow. What another worker has stored is followed; where that fails,
 * the model before goes on, and the status says why.
 */
export class DesiredModels {
  readonly #parts: DesiredModelsParts;
  /** By name: one change after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** By name: what is not to be followed, because it is ours, or ours came after it. */
  readonly #known = new Map<string, string[]>();
  /** What there was at the start. */
  readonly #first = new Map<string, DesiredEntry>();
  #watch: DesiredWatch | null = null;
  #started = false;
  #closed = false;
  #onStarted: () => void = () => undefined;
  /** Changes wait until the worker has what it starts with. */
  readonly #starting = new Promise<void>((resolve) => (this.#onStarted = resolve));

  constructor(parts: DesiredModelsParts) {
    this.#parts = parts;
  }

  /** Tells the registry what was stored, before anything is loaded. */
  async open(): Promise<void> {
    this.#watch = this.#parts.state.watch(ALL_DESIRED_MODELS, (entry) => {
      if (this.#started) this.#inTurn(nameOfKey(entry.key), () => this.#follow(entry)).catch(() => undefined);
      else this.#first.set(nameOfKey(entry.key), entry);
    });
    await this.#watch.initial;
    for (const [name, entry] of this.#first) {
      const wish = this.#read(entry);
      if (wish !== null) this.#parts.registry.assign(name, wish.manifest);
      this.#setKnown(name, [entry.revision, wish]);
    }
  }

  /** Loads what is to be kept, and follows from now on. One that cannot be loaded is told of by its status. */
  async start(): Promise<void> {
    const first = [...this.#first];
    this.#started = true;
    this.#onStarted();
    await Promise.all(
      first.map(async ([name, entry]) => {
        const wish = this.#read(entry);
        // What was stored while the worker started differs from what was assigned.
        if (this.#isKnown(name, entry.revision, wish) && wish?.pinned !== true) return;
        await this.#inTurn(name, () => this.#apply(name, wish)).catch(() => undefined);
      }),
    );
  }

  /** Loads a model and keeps it. @throws MODEL_…, ENGINE_…, STATE_CONFLICT, STATE_UNAVAILABLE; then nothing has changed */
  load({ name, manifest, signal }: ModelChange): Promise<ServedModelStatus> {
    return this.#inTurn(name, async () => {
      const { registry } = this.#parts;
      const wish = { manifest: manifest ?? registry.manifestOf(name), pinned: true };
      const entry = await this.#parts.state.get(desiredModel(name));
      const served = await registry.tryLoad(name, wish.manifest, () => this.#store(name, wish, entry, signal));
      return served.status();
    });
  }

  /**
   * Puts another manifest behind a name. @throws MODEL_…, ENGINE_…, CONFIG_INVALID, STATE_CONFLICT, STATE_UNAVAILABLE;
   * then nothing has changed but the reason in the status
   */
  swap({ name, manifest, signal }: ModelChange): Promise<{ status: ServedModelStatus; previous: string }> {
    return this.#inTurn(name, async () => {
      const { registry } = this.#parts;
      const { manifest: previous, pinned } = registry.require(name);
      const wish = { manifest: manifest ?? previous, pinned };
      const entry = await this.#parts.state.get(desiredModel(name));
      const served = await registry.swap(name, wish.manifest, () => this.#store(name, wish, entry, signal));
      return { status: served.status(), previous };
    });
  }

  /** Ends the keeping of a model. @throws MODEL_IN_USE, STATE_CONFLICT, STATE_UNAVAILABLE; then nothing has changed */
  unload(name: string): Promise<void> {
    return this.#inTurn(name, async () => {
      this.#parts.registry.requireUnused(name);
      const entry = await this.#parts.state.get(desiredModel(name));
      if (entry.value !== null) await this.#parts.state.delete(entry.key, entry.revision);
      this.#parts.registry.unload(name);
    });
  }

  /** Follows nothing any more; what is being loaded is let go by the registry. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#watch?.close();
    this.#onStarted();
  }

  /** The model is loaded: all workers shall have it. What is thrown here ends the change. */
  async #store(name: string, wish: Wish, before: DesiredEntry, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new FramebusError('CANCELLED', `model "${name}": nobody waits for the change any more`);
    const revision = await this.#parts.state.put(before.key, encodeDesiredModel(wish), before.revision);
    this.#setKnown(name, [before.revision, this.#read(before)], [revision, wish]);
  }

  async #follow(entry: DesiredEntry): Promise<void> {
    const name = nameOfKey(entry.key);
    const wish = this.#read(entry);
    if (this.#isKnown(name, entry.revision, wish)) return;
    this.#setKnown(name, [entry.revision, wish]);
    await this.#apply(name, wish);
  }

  /** A failure stays here: the other workers may have what this one has not. */
  async #apply(name: string, wish: Wish | null): Promise<void> {
    const { log } = this.#parts;
    log.info({ model: name, manifest: wish?.manifest ?? name }, 'what shall serve the model was changed');
    try {
      if (wish === null) await this.#release(name);
      else await this.#serve(name, wish);
    } catch (error) {
      log.error({ model: name, code: codeOf(error) }, `the model could not be changed: ${messageOf(error)}`);
    }
  }

  async #serve(name: string, { manifest, pinned }: Wish): Promise<void> {
    const { registry } = this.#parts;
    const served = registry.get(name);
    if (served === undefined) {
      if (pinned) await registry.load(name, manifest);
      else registry.assign(name, manifest);
      return;
    }
    // The same manifest stored once more means: read anew.
    const isPinOnly = served.manifest === manifest && served.pinned !== pinned;
    if (!isPinOnly) await registry.swap(name, manifest);
    if (pinned) await registry.load(name, manifest);
    else registry.unpin(name);
  }

  /** Nothing is wanted of the name any more but what streams ask of it. */
  async #release(name: string): Promise<void> {
    const { registry } = this.#parts;
    const served = registry.get(name);
    if (served !== undefined && registry.isUsed(name) && served.manifest !== name) await registry.swap(name, name);
    registry.unassign(name);
    registry.unpin(name);
  }

  /** null: nothing is stored, or nothing that can be read. */
  #read({ key, value, revision }: DesiredEntry): Wish | null {
    if (value === null) return null;
    try {
      return decodeDesiredModel(value);
    } catch (error) {
      this.#parts.log.warn({ key, revision }, `what shall serve a model is left out: ${messageOf(error)}`);
      return null;
    }
  }

  #isKnown(name: string, revision: number, wish: Wish | null): boolean {
    return this.#known.get(name)?.includes(version(revision, wish)) ?? false;
  }

  #setKnown(name: string, ...versions: (readonly [number, Wish | null])[]): void {
    this.#known.set(
      name,
      versions.map(([revision, wish]) => version(revision, wish)),
    );
  }

  async #inTurn<T>(name: string, change: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(name) ?? this.#starting;
    const turn = before.then(() => {
      if (this.#closed) throw new FramebusError('SHUTTING_DOWN', 'the service is stopping');
      return change();
    });
    const settled = turn.catch(() => undefined);
    this.#turns.set(name, settled);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(name) === settled) this.#turns.delete(name);
    }
  }
}

/** A revision alone does not tell: in a bucket that was lost and made again they start anew. */
const version = (revision: number, wish: Wish | null): string => `${revision} ${wish === null ? '' : `${wish.manifest} ${wish.pinned}`}`;
