import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { findManifest } from '../../models/find.js';
import { ModelState } from '#proto/framebus/model/v1/served_model.js';
import { contentOf, filesOf, stampOf } from './model_files.js';
import type { ServedModel } from './served_model.js';

/** A served model, as far as its files go. */
export type WatchedModel = Pick<ServedModel, 'name' | 'manifest' | 'files' | 'generations' | 'state' | 'swap'>;

export interface ModelWatchOptions {
  models: () => readonly WatchedModel[];
  /** Folder of the manifests. */
  directory: string;
  log: Log;
  /** How often files are looked at. */
  pollMs?: number;
  /** A file that is being written is left alone until nothing has changed for so long. */
  stableMs?: number;
}

const POLL_MS = 1_000;
const STABLE_MS = 500;

/** What is known of the files of one generation. */
interface Seen {
  generations: number;
  files: readonly string[];
  /** What was loaded of them, or could not be. */
  content: string;
  stamp: string;
}

/**
 * Loads a model anew when its manifest or its file has changed. It looks at them again
 * and again, because that works on every file system and with every editor; what counts
 * is what is in them, not when they were written. What cannot be loaded is tried once.
 */
export class ModelWatch {
  readonly #options: ModelWatchOptions;
  readonly #seen = new WeakMap<WatchedModel, Seen>();
  readonly #closing = new AbortController();
  #running: Promise<void> | null = null;

  constructor(options: ModelWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when no file is looked at any more. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { models, log, pollMs = POLL_MS } = this.#options;
    while (await this.#passed(pollMs)) {
      for (const model of models()) {
        await this.#look(model).catch((error: unknown) => log.error({ err: error, model: model.name }, `watching files failed: ${messageOf(error)}`));
      }
    }
  }

  /** false: it is closed. */
  #passed(ms: number): Promise<boolean> {
    return sleep(ms, true, { signal: this.#closing.signal, ref: false }).catch(() => false);
  }

  async #look(model: WatchedModel): Promise<void> {
    // What is being loaded is read at this moment.
    if (model.files === null && model.state !== ModelState.MODEL_STATE_FAILED) return;
    const seen = this.#seenOf(model);
    const stamp = await stampOf(seen.files);
    if (stamp === seen.stamp) return;
    const content = await contentOf(seen.files);
    if (content !== seen.content) {
      if (!(await this.#passed(this.#options.stableMs ?? STABLE_MS))) return;
      // Still being written: the next look will see it again.
      if ((await contentOf(seen.files)) !== content) return;
    }
    // Another one has been loaded meanwhile, of files of its own.
    if (model.generations !== seen.generations) return;
    seen.stamp = stamp;
    if (content === seen.content) return;
    seen.content = content;
    this.#options.log.info({ model: model.name, manifest: model.manifest }, 'files of the model have changed; loading it anew');
    // A failure is the model's to tell; the files are looked at again when they have changed.
    void model.swap(null).catch(() => undefined);
  }

  /** A new generation has files of its own. */
  #seenOf(model: WatchedModel): Seen {
    const { generations } = model;
    const known = this.#seen.get(model);
    const files = model.files?.files ?? this.#filesToCome(model.manifest);
    if (known?.generations === generations) return Object.assign(known, { files });
    // What could not be loaded is tried once more: it may have been mended before we looked.
    const seen = { generations, files, content: model.files?.content ?? '', stamp: '' };
    this.#seen.set(model, seen);
    return seen;
  }

  /** Nothing is loaded: what is wrong may be mended. */
  #filesToCome(manifest: string): string[] {
    const { directory } = this.#options;
    try {
      return filesOf(findManifest(manifest, directory));
    } catch {
      // The manifest itself is wrong, or is not there.
    }
    return path.isAbsolute(manifest) ? [manifest] : ['yaml', 'yml'].map((ending) => path.join(directory, `${manifest}.${ending}`));
  }
}
