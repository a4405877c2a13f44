import type { Log } from '../../lib/log.js';
import type { ModelManifest } from '../../models/manifest.js';
import { Executor } from './executor.js';
import { FilterTable } from './filter_table.js';
import type { ModelFiles } from './model_files.js';
import type { StreamFilter } from './stream_thresholds.js';
import type { TensorSignature } from './tensor_inference.js';

export interface GenerationOptions {
  manifest: ModelManifest;
  /** Path of the model file. */
  modelFile: string;
  /** What was read, for who watches it. */
  files: ModelFiles;
  /** `infer.engine`. */
  engine: string;
  /** Threads that run batches. */
  executors: number;
  /** Threads of the engine in each of them. */
  threads: number;
  /** Most frames of a batch, where the model takes as many. */
  batchSize: number;
  /** What the streams want, by stream. */
  filters: ReadonlyMap<string, StreamFilter>;
  log: Log;
}

/** A model as it is loaded: one manifest, and executors that are warm. */
export class Generation {
  readonly manifest: ModelManifest;
  readonly files: ModelFiles;
  readonly executors: readonly Executor[];
  /** Most frames of a batch. */
  readonly batchSize: number;
  readonly #filters: FilterTable;
  /** Called when an executor can take a batch again, or cannot any more. */
  onChange: () => void = () => undefined;

  private constructor(options: GenerationOptions, filters: FilterTable) {
    const { manifest, modelFile, files, engine, threads, log } = options;
    this.manifest = manifest;
    this.files = files;
    this.batchSize = Math.min(options.batchSize, manifest.batch === 'dynamic' ? options.batchSize : manifest.batch);
    this.#filters = filters;
    const data = { manifest, modelFile, engine, threads, maxBatch: this.batchSize, filters: filters.filters };
    const onChange = (): void => this.onChange();
    this.executors = Array.from({ length: options.executors }, () => new Executor({ data, log, onChange }));
  }

  /**
   * Resolves when all executors are warm; none is left behind when it rejects.
   * @throws MODEL_SHAPE, MODEL_DECODER, ENGINE_…, and CONFIG_INVALID for labels that the model does not know
   */
  static async load(options: GenerationOptions): Promise<Generation> {
    const filters = new FilterTable(options.manifest);
    for (const [stream, filter] of options.filters) filters.set(stream, filter);
    const generation = new Generation(options, filters);
    const loads = await Promise.allSettled(generation.executors.map((executor) => executor.load()));
    const failure = loads.find((load) => load.status === 'rejected');
    if (failure === undefined) return generation;
    await generation.close();
    throw failure.reason;
  }

  /** What the model takes and gives; of the first executor. */
  get signature(): TensorSignature {
    const [executor] = this.executors;
    if (executor === undefined) throw new Error(`model ${this.manifest.name} has no executor`);
    return executor.signature;
  }

  /** Number of a stream's thresholds for the executors. */
  filterOf(streamId: string): number {
    return this.#filters.numberOf(streamId);
  }

  /** What a stream wants from its next frame on. @throws CONFIG_INVALID; then nothing has changed */
  setFilter(streamId: string, filter: StreamFilter): void {
    const { number, thresholds } = this.#filters.set(streamId, filter);
    for (const executor of this.executors) executor.setFilter(number, thresholds);
  }

  /** Waits for the batches that run. */
  async close(): Promise<void> {
    await Promise.all(this.executors.map((executor) => executor.close()));
  }
}
