import { codeOf, FramebusError, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { FrameRegion } from '../../native/contract.js';
import { ModelState, type ServedModel as ServedModelStatus } from '#proto/framebus/model/v1/served_model.js';
import type { FrameAnswers } from './frame_answers.js';
import type { FrameConsumer } from './frame_consumer.js';
import type { FrameReceiver } from './frame_taker.js';
import type { Generation } from './generation.js';
import type { LeasedFrame } from './leased_frame.js';
import type { ModelFiles } from './model_files.js';
import type { ModelRunner } from './model_runner.js';
import type { StreamFilter } from './stream_thresholds.js';
import type { InputTensorData, OutputTensorData } from './tensor_inference.js';
import type { Work } from './work.js';

/** What a stream wants of the model, from its next frame on. */
export interface StreamView extends StreamFilter {
  /** Part of the frame to look at, in fractions of its size; null: all of it. */
  region: FrameRegion | null;
}

/** What a served model is made of; see `ModelRegistry`. */
export interface ServedModelParts {
  runner: ModelRunner;
  answers: FrameAnswers;
  consumers: readonly FrameConsumer[];
  /** Finds, fetches, loads and warms a model. @throws MODEL_…, ENGINE_…, CONFIG_INVALID */
  load: (manifest: string, filters: ReadonlyMap<string, StreamFilter>) => Promise<Generation>;
  onChange: () => void;
  log: Log;
}

/** Decides, when a model is loaded, whether it shall take over: what it throws ends the change. */
export type Confirm = () => Promise<void>;

const MOST_REQUESTS_WAITING = 4;

/** A name that streams ask for, and the model that answers to it: at first its own, later perhaps another. */
export class ServedModel implements FrameReceiver {
  readonly name: string;
  readonly #parts: ServedModelParts;
  /** Also of streams that have asked for it: their last frames may be on their way. */
  readonly #views = new Map<string, StreamView>();
  readonly #asking = new Set<string>();
  /** What streams have asked for and cannot have, by stream. */
  readonly #refusals = new Map<string, string>();
  /** Manifest that serves now, as it was asked for. */
  #manifest: string;
  #generation: Generation | null = null;
  #generations = 0;
  #state = ModelState.MODEL_STATE_LOADING;
  #reason = '';
  #loading = '';
  #pinned = false;
  /** Swaps, one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Generations that finish their last batches. */
  readonly #leaving = new Set<Promise<void>>();
  #lastFrameMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** @param manifest name or path */
  constructor(name: string, manifest: string, parts: ServedModelParts) {
    this.name = name;
    this.#manifest = manifest;
    this.#parts = parts;
  }

  /** Manifest that serves the name, as it was asked for. */
  get manifest(): string {
    return this.#manifest;
  }

  get generations(): number {
    return this.#generations;
  }

  get state(): ModelState {
    return this.#state;
  }

  /** The loaded model. @throws MODEL_NOT_READY */
  get generation(): Generation {
    if (this.#generation !== null) return this.#generation;
    throw this.#notReady();
  }

  /** What it was made of; null when nothing is loaded. */
  get files(): ModelFiles | null {
    return this.#generation?.files ?? null;
  }

  /** When a frame came last, as `performance.now()` says it. */
  get lastFrameMs(): number {
    return this.#lastFrameMs;
  }

  /** null when frames are looked at, else why not. */
  ready(): string | null {
    const why = this.#state === ModelState.MODEL_STATE_FAILED ? this.#reason : this.#parts.runner.ready();
    return why === null ? null : `model ${this.name}: ${why}`;
  }

  /** Loads the first generation, then takes frames. @throws MODEL_…, ENGINE_…, CONFIG_INVALID; then `state` is FAILED */
  start(confirm: Confirm = noQuestion): Promise<void> {
    return this.#inTurn(() => this.#begin(this.#manifest, confirm));
  }

  /** Resolves when it is loaded, at once where it is. @throws MODEL_NOT_READY when what has begun is over without */
  async settled(): Promise<void> {
    if (this.#generation === null) await this.#last.catch(() => undefined);
    if (this.#generation === null) throw this.#notReady();
  }

  /**
   * Loads a manifest beside the one that serves; it takes over between two batches. When
   * it cannot be loaded, nothing has changed but `reason`.
   *
   * @param manifest name or path; null: the one that serves, read anew
   * @throws MODEL_…, ENGINE_…, CONFIG_INVALID, and what `confirm` throws
   */
  swap(manifest: string | null, confirm: Confirm = noQuestion): Promise<void> {
    return this.#inTurn(() => {
      const next = manifest ?? this.#manifest;
      return this.#generation === null ? this.#begin(next, confirm) : this.#replace(next, confirm);
    });
  }

  /** What a stream wants; a label that the model does not know is refused. @throws CONFIG_INVALID; then nothing has changed but `reason` */
  setView(streamId: string, view: StreamView): void {
    try {
      this.#generation?.setFilter(streamId, view);
    } catch (error) {
      this.#refusals.set(streamId, messageOf(error));
      this.#parts.onChange();
      throw error;
    }
    this.#views.set(streamId, view);
    this.#asking.add(streamId);
    this.#refusals.delete(streamId);
    this.#parts.onChange();
  }

  /** The stream does not ask for it any more; frames that are on their way still get what it wanted. */
  dropView(streamId: string): void {
    this.#asking.delete(streamId);
    this.#refusals.delete(streamId);
    this.#parts.onChange();
  }

  /** Streams that ask for it. */
  get streams(): string[] {
    return [...this.#asking];
  }

  /** Whether it is kept although no stream asks for it. */
  get pinned(): boolean {
    return this.#pinned;
  }

  pin(pinned: boolean): void {
    this.#pinned = pinned;
    this.#parts.onChange();
  }

  attaching(change: 1 | -1): void {
    this.#parts.runner.attaching(change);
  }

  add(leased: LeasedFrame): void {
    this.#lastFrameMs = performance.now();
    const region = this.#views.get(leased.streamId)?.region ?? null;
    this.#parts.runner.add(this.#parts.answers.work(leased, inPixels(region, leased.lease.format)));
  }

  /** A part of a frame for a model behind another one. */
  addWork(work: Work): void {
    this.#parts.runner.add(work);
  }

  pump(): void {
    this.#parts.runner.pump();
  }

  /** Tensors of a client, between two batches. @throws MODEL_BUSY, MODEL_NOT_READY, ENGINE_FAILED, CANCELLED */
  async runTensors(inputs: ReadonlyMap<string, InputTensorData>, signal: AbortSignal): Promise<OutputTensorData[]> {
    if (this.#parts.runner.tensorsWaiting >= MOST_REQUESTS_WAITING) {
      throw new FramebusError('MODEL_BUSY', `model ${this.name}: ${MOST_REQUESTS_WAITING} requests wait already`);
    }
    // Nothing waits for a model that may never come.
    if (this.#generation === null) throw this.#notReady();
    return this.#parts.runner.runTensors(inputs, signal);
  }

  status(): ServedModelStatus {
    const generation = this.#generation;
    return {
      name: this.name,
      manifest: this.#manifest,
      state: this.#state,
      reason: [this.#reason, ...this.#refusals.values()].filter((reason) => reason !== '').join('; '),
      generation: this.#generations,
      loading: this.#loading,
      engine: generation?.signature.engine ?? '',
      maxBatch: generation?.batchSize ?? 0,
      streamIds: this.streams,
      pinned: this.#pinned,
    };
  }

  /** Finishes the frames that it has. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#enter(ModelState.MODEL_STATE_UNLOADING, '');
    await this.#parts.runner.close();
    await this.#parts.answers.idle();
    // What is being loaded closes itself when it is there.
    await Promise.all(this.#leaving);
    await this.#generation?.close();
  }

  #notReady(): FramebusError {
    return new FramebusError('MODEL_NOT_READY', `model ${this.name}: ${this.#reason === '' ? 'is being loaded' : this.#reason}`);
  }

  async #begin(manifest: string, confirm: Confirm): Promise<void> {
    this.#enter(ModelState.MODEL_STATE_LOADING, '');
    try {
      await this.#take(manifest, confirm);
      if (!this.#closed) await Promise.all(this.#parts.consumers.map((consumer) => consumer.start()));
      this.#enter(ModelState.MODEL_STATE_READY, '');
      this.#parts.runner.pump();
    } catch (error) {
      this.#enter(ModelState.MODEL_STATE_FAILED, messageOf(error));
      throw error;
    }
  }

  async #replace(manifest: string, confirm: Confirm): Promise<void> {
    this.#loading = manifest;
    this.#parts.onChange();
    try {
      await this.#take(manifest, confirm);
      this.#enter(this.#state, '');
    } catch (error) {
      const what = manifest === this.#manifest ? `loading ${manifest} anew failed, what was loaded goes on` : `swap to ${manifest} failed, ${this.#manifest} goes on`;
      this.#parts.log.error({ manifest, code: codeOf(error) }, `${what}: ${messageOf(error)}`);
      this.#enter(this.#state, `${what}: ${messageOf(error)}`);
      throw error;
    }
  }

  /** Loads, then hands over. */
  async #take(manifest: string, confirm: Confirm): Promise<void> {
    const next = await this.#parts.load(manifest, this.#wanted());
    try {
      // What streams have changed meanwhile.
      for (const [streamId, view] of this.#wanted()) next.setFilter(streamId, view);
      if (this.#closed) throw new FramebusError('SHUTTING_DOWN', `model ${this.name}: is being unloaded`);
      await confirm();
    } catch (error) {
      await next.close();
      throw error;
    }
    this.#handOver(manifest, next);
  }

  #handOver(manifest: string, next: Generation): void {
    const before = this.#generation;
    this.#setFormerViews(next);
    next.onChange = () => this.#parts.runner.pump();
    this.#generation = next;
    this.#manifest = manifest;
    this.#generations += 1;
    this.#parts.log.info({ manifest: next.manifest.name, generation: this.#generations }, 'model takes over');
    // The rest of the old one is not waited for by who asked for the new one.
    const leaving = this.#parts.runner.use(next).then(() => before?.close());
    this.#leaving.add(leaving);
    void leaving.finally(() => this.#leaving.delete(leaving));
  }

  /** Views of the streams that ask for the model: it must fit them. */
  #wanted(): Map<string, StreamView> {
    return new Map([...this.#views].filter(([streamId]) => this.#asking.has(streamId)));
  }

  /** Views of streams that have asked for it, where they fit. */
  #setFormerViews(next: Generation): void {
    for (const [streamId, view] of this.#views) {
      if (this.#asking.has(streamId)) continue;
      try {
        next.setFilter(streamId, view);
      } catch {
        this.#views.delete(streamId);
      }
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work, work);
    this.#last = turn;
    return turn;
  }

  /** A change is over, or the first one begins. */
  #enter(state: ModelState, reason: string): void {
    // Unloading is the end of it.
    if (this.#closed) state = ModelState.MODEL_STATE_UNLOADING;
    this.#state = state;
    this.#loading = '';
    this.#reason = reason;
    this.#parts.onChange();
  }
}

const noQuestion: Confirm = () => Promise.resolve();

function inPixels(region: FrameRegion | null, { width, height }: { width: number; height: number }): FrameRegion | null {
  if (region === null) return null;
  return { x: region.x * width, y: region.y * height, width: region.width * width, height: region.height * height };
}
