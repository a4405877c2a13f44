import { FramebusError, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { FrameRegion } from '../../native/contract.js';
import { ModelState, type ServedModel as ServedModelStatus } from '#proto/framebus/model/v1/served_model.js';
import type { DetectionFilter } from './class_thresholds.js';
import type { FrameAnswers } from './frame_answers.js';
import type { FrameConsumer } from './frame_consumer.js';
import type { FrameReceiver } from './frame_taker.js';
import type { Generation } from './generation.js';
import type { LeasedFrame } from './leased_frame.js';
import type { ModelRunner } from './model_runner.js';
import type { InputTensorData, OutputTensorData } from './tensor_inference.js';
import type { Work } from './work.js';

/** What a stream wants of the model, from its next frame on. */
export interface StreamView extends DetectionFilter {
  /** Part of the frame to look at, in fractions of its size; null: all of it. */
  region: FrameRegion | null;
}

/** What a served model is made of; see `ModelRegistry`. */
export interface ServedModelParts {
  runner: ModelRunner;
  answers: FrameAnswers;
  consumers: readonly FrameConsumer[];
  /** Finds, fetches, loads and warms a model. @throws MODEL_…, ENGINE_…, CONFIG_INVALID */
  load: (manifest: string, filters: ReadonlyMap<string, DetectionFilter>) => Promise<Generation>;
  onChange: () => void;
  log: Log;
}

const MOST_REQUESTS_WAITING = 4;

/** A name that streams ask for, and the model that answers to it: at first its own, later perhaps another. */
export class ServedModel implements FrameReceiver {
  readonly name: string;
  readonly #parts: ServedModelParts;
  readonly #views = new Map<string, StreamView>();
  /** Manifest that serves now, as it was asked for. */
  #manifest: string;
  #generation: Generation | null = null;
  #generations = 0;
  #state = ModelState.MODEL_STATE_LOADING;
  #reason = '';
  #loading = '';
  /** Keep it although no stream asks for it. */
  pinned = false;
  /** Swaps, one after the other. */
  #last: Promise<unknown> = Promise.resolve();

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

  /** Files that it is made of: manifest and model. */
  get files(): string[] {
    return this.#generation === null ? [] : [this.#generation.manifest.file, this.#generation.modelFile];
  }

  /** null when frames are looked at, else why not. */
  ready(): string | null {
    const why = this.#state === ModelState.MODEL_STATE_FAILED ? this.#reason : this.#parts.runner.ready();
    return why === null ? null : `model ${this.name}: ${why}`;
  }

  /** Loads the first generation, then takes frames. @throws MODEL_…, ENGINE_…, CONFIG_INVALID; then `state` is FAILED */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      this.#enter(ModelState.MODEL_STATE_LOADING, '');
      try {
        await this.#take(this.#manifest);
        await Promise.all(this.#parts.consumers.map((consumer) => consumer.start()));
        this.#enter(ModelState.MODEL_STATE_READY, '');
        this.#parts.runner.pump();
      } catch (error) {
        this.#enter(ModelState.MODEL_STATE_FAILED, messageOf(error));
        throw error;
      }
    });
  }

  /**
   * Loads a manifest beside the one that serves; it takes over between two batches. When
   * it cannot be loaded, nothing has changed but `reason`. @throws MODEL_…, ENGINE_…, CONFIG_INVALID
   */
  swap(manifest: string): Promise<void> {
    if (this.#generation === null && this.#state !== ModelState.MODEL_STATE_LOADING) {
      this.#manifest = manifest;
      return this.start();
    }
    return this.#inTurn(async () => {
      this.#loading = manifest;
      this.#parts.onChange();
      try {
        await this.#take(manifest);
        this.#reason = '';
      } catch (error) {
        this.#reason = `swap to ${manifest} failed, ${this.#manifest} goes on: ${messageOf(error)}`;
        this.#parts.log.error({ err: error, model: this.name, manifest }, 'a swap failed; the model before it goes on');
        throw error;
      } finally {
        this.#loading = '';
        this.#parts.onChange();
      }
    });
  }

  /** What a stream wants; a label that the model does not know is refused. @throws CONFIG_INVALID; then nothing has changed */
  setView(streamId: string, view: StreamView): void {
    this.#generation?.setFilter(streamId, view);
    this.#views.set(streamId, view);
  }

  /** The stream asks for another model now. */
  dropView(streamId: string): void {
    this.#views.delete(streamId);
  }

  get streams(): string[] {
    return [...this.#views.keys()];
  }

  attaching(change: 1 | -1): void {
    this.#parts.runner.attaching(change);
  }

  add(leased: LeasedFrame): void {
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
      reason: this.#reason,
      generation: this.#generations,
      loading: this.#loading,
      engine: generation?.signature.engine ?? '',
      maxBatch: generation?.batchSize ?? 0,
      streamIds: this.streams,
      pinned: this.pinned,
    };
  }

  /** Finishes the frames that it has. */
  async close(): Promise<void> {
    this.#enter(ModelState.MODEL_STATE_UNLOADING, '');
    await this.#parts.runner.close();
    await this.#parts.answers.idle();
    await this.#last.catch(() => undefined);
    await this.#generation?.close();
  }

  #notReady(): FramebusError {
    return new FramebusError('MODEL_NOT_READY', `model ${this.name}: ${this.#reason === '' ? 'is being loaded' : this.#reason}`);
  }

  /** Loads, then hands over. */
  async #take(manifest: string): Promise<void> {
    const next = await this.#parts.load(manifest, this.#views);
    // What streams have changed meanwhile.
    for (const [streamId, view] of this.#views) next.setFilter(streamId, view);
    const before = this.#generation;
    next.onChange = () => this.#parts.runner.pump();
    this.#generation = next;
    this.#manifest = manifest;
    this.#generations += 1;
    this.#parts.log.info({ model: this.name, manifest: next.manifest.name, generation: this.#generations }, 'model takes over');
    // The rest of the old one is not waited for by who asked for the new one.
    void this.#parts.runner.use(next).then(() => before?.close());
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work, work);
    this.#last = turn;
    return turn;
  }

  #enter(state: ModelState, reason: string): void {
    this.#state = state;
    this.#reason = reason;
    this.#parts.onChange();
  }
}

function inPixels(region: FrameRegion | null, { width, height }: { width: number; height: number }): FrameRegion | null {
  if (region === null) return null;
  return { x: region.x * width, y: region.y * height, width: region.width * width, height: region.height * height };
}
