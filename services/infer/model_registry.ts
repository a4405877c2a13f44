import { FramebusError, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { ModelManifest } from '../../models/manifest.js';
import { ModelState, type ServedModel as ServedModelStatus } from '#proto/framebus/model/v1/served_model.js';
import { ServedModel, type Confirm, type ServedModelParts, type StreamView } from './served_model.js';
import type { InputTensorData, OutputTensorData, TensorModels, TensorSignature } from './tensor_inference.js';

/** What a stream asks of the worker. */
export interface StreamWants {
  /** Served name; null: nobody looks. */
  model: string | null;
  view: StreamView;
  /** Served names of the models that look at what was found. */
  secondary: readonly string[];
}

export interface ModelRegistryOptions {
  /** Makes the parts of a served model. `onChange` tells that its status has changed. */
  parts: (name: string, onChange: () => void) => ServedModelParts;
  log: Log;
  /** A model that no stream asks for any more is kept for so long: frames are on their way. */
  lingerMs: number;
}

/** The models of this worker, by served name. */
export class ModelRegistry implements TensorModels {
  readonly #options: ModelRegistryOptions;
  readonly #served = new Map<string, ServedModel>();
  readonly #streams = new Map<string, StreamWants>();
  /** Manifests of names that a swap or a load has set; the others are their own. */
  readonly #manifests = new Map<string, string>();
  readonly #lingering = new Map<string, NodeJS.Timeout>();
  readonly #unloading = new Set<Promise<void>>();
  readonly #listeners = new Set<() => void>();
  #closed = false;

  constructor(options: ModelRegistryOptions) {
    this.#options = options;
  }

  /** Calls the listener after every change of a status. @returns ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** null when every model that streams ask for can look at frames, else why not. One that is loaded later is not waited for. */
  notReady(): string | null {
    for (const served of this.#served.values()) {
      const isNew = served.state === ModelState.MODEL_STATE_LOADING;
      const why = isNew || !this.isUsed(served.name) ? null : served.ready();
      if (why !== null) return why;
    }
    return null;
  }

  statuses(): ServedModelStatus[] {
    return [...this.#served.values()].map((served) => served.status()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  all(): ServedModel[] {
    return [...this.#served.values()];
  }

  get(name: string): ServedModel | undefined {
    return this.#served.get(name);
  }

  /** @throws MODEL_NOT_FOUND */
  require(name: string): ServedModel {
    const served = this.#served.get(name);
    if (served !== undefined) return served;
    const names = [...this.#served.keys()].toSorted();
    throw new FramebusError('MODEL_NOT_FOUND', `model "${name}" is not served here; served: ${names.length === 0 ? 'none' : names.join(', ')}`, {
      remedy: 'Load it with "framebus model load".',
    });
  }

  /**
   * Takes what a stream asks for from now on. Resolves when its models are loaded.
   * @throws CONFIG_INVALID for labels that a loaded model does not know: then nothing has changed; MODEL_…, ENGINE_…
   */
  async setStream(streamId: string, wants: StreamWants): Promise<void> {
    if (wants.model !== null) this.#served.get(wants.model)?.setView(streamId, wants.view);
    const before = this.#streams.get(streamId)?.model ?? null;
    this.#streams.set(streamId, wants);
    if (before !== null && before !== wants.model) this.#served.get(before)?.dropView(streamId);
    const names = [wants.model ?? [], wants.secondary].flat();
    const loads = names.map((name) => this.#ensure(name));
    this.#retireUnused();
    await Promise.all(loads);
  }

  /** Sets what serves a name before anything asks for it. */
  assign(name: string, manifest: string): void {
    this.#manifests.set(name, manifest);
  }

  /** Whether something else than its own manifest shall serve a name. */
  isAssigned(name: string): boolean {
    return this.#manifests.has(name);
  }

  /** What serves a name, or would. */
  manifestOf(name: string): string {
    return this.#served.get(name)?.manifest ?? this.#manifests.get(name) ?? name;
  }

  /**
   * Loads a model and keeps it, also when it cannot be loaded: its status says why. Idempotent.
   * @throws MODEL_…, ENGINE_…
   */
  async load(name: string, manifest: string): Promise<ServedModel> {
    const known = this.#served.get(name);
    if (known === undefined) this.assign(name, manifest);
    else if (known.manifest !== manifest) await this.swap(name, manifest);
    const served = await this.#ensure(name, { pinned: true });
    served.pin(true);
    return served;
  }

  /** As `load`, but nothing is left of it when it fails, or `confirm` does. @throws MODEL_…, ENGINE_…, and what `confirm` throws */
  async tryLoad(name: string, manifest: string, confirm: Confirm): Promise<ServedModel> {
    const known = this.#served.get(name);
    if (known !== undefined) {
      if (known.manifest !== manifest || known.state === ModelState.MODEL_STATE_FAILED) await this.swap(name, manifest, confirm);
      else await known.settled().then(confirm);
      known.pin(true);
      return known;
    }
    const before = this.#manifests.get(name);
    this.assign(name, manifest);
    try {
      return await this.#ensure(name, { pinned: true, confirm });
    } catch (error) {
      this.#restore(name, before);
      throw error;
    }
  }

  /** See `ServedModel.swap`. @throws MODEL_NOT_FOUND and what loading and `confirm` throw */
  async swap(name: string, manifest: string | null, confirm?: Confirm): Promise<ServedModel> {
    const served = this.require(name);
    await served.swap(manifest, confirm);
    this.assign(name, served.manifest);
    return served;
  }

  /** Ends the keeping of a model; what streams ask for stays. */
  unpin(name: string): void {
    this.#served.get(name)?.pin(false);
    this.#retireUnused();
  }

  /** Nothing but its own manifest shall serve the name from its next load on. */
  unassign(name: string): void {
    this.#manifests.delete(name);
  }

  /** Whether streams ask for it. */
  isUsed(name: string): boolean {
    return this.#askers(name).length > 0;
  }

  /** @throws MODEL_IN_USE while streams ask for it */
  requireUnused(name: string): void {
    const streams = this.#askers(name);
    if (streams.length === 0) return;
    throw new FramebusError('MODEL_IN_USE', `model "${name}": ${streams.join(', ')} ${streams.length === 1 ? 'asks' : 'ask'} for it`);
  }

  /** Lets a model go at once. Idempotent. @throws MODEL_IN_USE while streams ask for it */
  unload(name: string): void {
    this.requireUnused(name);
    this.unassign(name);
    this.#served.get(name)?.pin(false);
    this.#unload(name);
  }

  /** Finishes the frames that the models have. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#lingering.values()) clearTimeout(timer);
    await Promise.all([...this.#served.values()].map((served) => served.close()));
    await Promise.all(this.#unloading);
  }

  // ---- TensorModels

  names(): string[] {
    return [...this.#served.keys()].toSorted();
  }

  ready(name: string): boolean {
    return this.#served.get(name)?.ready() === null;
  }

  signature(name: string): TensorSignature & { manifest: ModelManifest; generation: number } {
    const served = this.require(name);
    const { signature, manifest } = served.generation;
    return { ...signature, manifest, generation: served.generations };
  }

  run(name: string, inputs: ReadonlyMap<string, InputTensorData>, signal: AbortSignal): Promise<OutputTensorData[]> {
    return this.require(name).runTensors(inputs, signal);
  }

  /** Streams that ask for a model, as their own or as a secondary one. */
  #askers(name: string): string[] {
    return [...this.#streams].filter(([, wants]) => wants.model === name || wants.secondary.includes(name)).map(([id]) => id);
  }

  async #ensure(name: string, { pinned = false, confirm }: { pinned?: boolean; confirm?: Confirm } = {}): Promise<ServedModel> {
    this.#keep(name);
    const known = this.#served.get(name);
    if (known !== undefined) {
      // Who asks once more may have mended what was wrong.
      if (known.state === ModelState.MODEL_STATE_FAILED) await known.start(confirm);
      else await known.settled();
      return known;
    }
    if (this.#closed) throw new FramebusError('SHUTTING_DOWN', 'the service is stopping');
    const parts = this.#options.parts(name, () => this.#changed());
    const served = new ServedModel(name, this.#manifests.get(name) ?? name, parts);
    this.#served.set(name, served);
    served.pin(pinned);
    for (const [id, wants] of this.#streams) if (wants.model === name) served.setView(id, wants.view);
    await served.start(confirm);
    return served;
  }

  /** A load that was asked for has failed: as if nobody had. */
  #restore(name: string, manifest: string | undefined): void {
    if (manifest === undefined) this.#manifests.delete(name);
    else this.#manifests.set(name, manifest);
    this.#served.get(name)?.pin(false);
    this.#unload(name);
  }

  #retireUnused(): void {
    for (const [name, served] of this.#served) {
      if (served.pinned || this.#lingering.has(name) || this.isUsed(name)) continue;
      this.#linger(name, this.#options.lingerMs);
    }
  }

  /** Unloads it when no frame has come for a while: ingest sends some until a stream's next model is loaded. */
  #linger(name: string, forMs: number): void {
    const timer = setTimeout(() => {
      const quietMs = performance.now() - (this.#served.get(name)?.lastFrameMs ?? 0);
      if (quietMs < this.#options.lingerMs) this.#linger(name, this.#options.lingerMs - quietMs);
      else this.#unload(name);
    }, forMs);
    this.#lingering.set(name, timer);
  }

  /** It is asked for again. */
  #keep(name: string): void {
    clearTimeout(this.#lingering.get(name));
    this.#lingering.delete(name);
  }

  #unload(name: string): void {
    this.#keep(name);
    const served = this.#served.get(name);
    if (served === undefined || served.pinned || this.#closed || this.isUsed(name)) return;
    this.#served.delete(name);
    this.#options.log.info({ model: name }, 'no stream asks for the model any more; unloading it');
    const closing = served.close().catch((error: unknown) => {
      this.#options.log.error({ model: name, err: error }, `unloading failed: ${messageOf(error)}`);
    });
    this.#unloading.add(closing);
    void closing.finally(() => this.#unloading.delete(closing));
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
