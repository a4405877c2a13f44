import type { Config } from '../../lib/config.js';
import type { Log } from '../../lib/log.js';
import { ensureModelFile } from '../../models/fetch.js';
import { findManifest } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { StreamFilter } from './stream_thresholds.js';
import { engineThreads } from './engine_threads.js';
import { Generation } from './generation.js';
import { contentOf, filesOf } from './model_files.js';
import { checkRawLimit } from './raw_limit.js';

export interface ModelLoaderOptions {
  models: Config['models'];
  infer: Pick<Config['infer'], 'batch' | 'engine' | 'executors' | 'threads'>;
  /** `max_payload` of nats-server, now. */
  maxPayloadBytes: () => number;
  /** Ends fetching. */
  signal: AbortSignal;
  log: Log;
}

/** From the name of a manifest to a model that is warm. */
export class ModelLoader {
  readonly #options: ModelLoaderOptions;

  constructor(options: ModelLoaderOptions) {
    this.#options = options;
  }

  /**
   * @param manifest name or path
   * @param filters what the streams want, by stream
   * @throws MODEL_…, ENGINE_…, and CONFIG_INVALID for labels that the model does not know
   */
  async load(manifest: string, filters: ReadonlyMap<string, StreamFilter>): Promise<Generation> {
    const { models, infer, log } = this.#options;
    const files = filesOf(findManifest(manifest, models.directory));
    const content = await contentOf(files);
    // Read once more: what is loaded is no older than what is remembered of the files.
    const found = findManifest(manifest, models.directory);
    checkRawLimit(found, this.#options.maxPayloadBytes());
    const { executors, threads, batch, engine } = infer;
    return Generation.load({
      manifest: found,
      modelFile: await this.#modelFile(found),
      files: { files, content },
      engine,
      executors,
      threads: engineThreads(threads, executors),
      batchSize: batch.size,
      filters,
      log: log.child({ model: found.name }),
    });
  }

  #modelFile(manifest: ModelManifest): Promise<string> {
    const { models, signal, log } = this.#options;
    let phase = '';
    return ensureModelFile(manifest, {
      cacheDirectory: models.cache,
      signal,
      onProgress: (progress) => {
        if (progress.phase !== phase) log.info({ model: manifest.name, what: progress.what }, `model is not in the cache: ${progress.phase}`);
        phase = progress.phase;
      },
    });
  }
}
