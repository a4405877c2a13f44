import type { StreamConfig } from '../../lib/config.js';
import type { DesiredState, DesiredWatch } from '../../lib/desired_state.js';
import { codeOf, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { watchStreamSettings, type LiveSettings, type StreamChange } from '../../lib/stream_settings.js';
import type { ModelRegistry, StreamWants } from './model_registry.js';

export interface FollowedStreamsParts {
  state: Pick<DesiredState, 'watch'>;
  registry: Pick<ModelRegistry, 'setStream' | 'isAssigned'>;
  log: Log;
}

/**
 * What the streams ask of this worker: as configured, but for what was changed while
 * they run. A change that cannot be is logged, and what held before holds on; the status
 * of the model says why.
 */
export class FollowedStreams {
  readonly #streams: readonly StreamConfig[];
  readonly #parts: FollowedStreamsParts;
  /** The last change of each stream. */
  readonly #changes = new Map<string, StreamChange>();
  /** Streams whose first settings hold: changes are followed. */
  readonly #followed = new Set<string>();
  #watch: DesiredWatch | null = null;

  constructor(streams: readonly StreamConfig[], parts: FollowedStreamsParts) {
    this.#streams = streams;
    this.#parts = parts;
  }

  /**
   * Loads what the streams ask for, and follows from then on.
   *
   * @param check is told each stream whose models are loaded; what it throws is as if the models could not be
   * @throws MODEL_…, ENGINE_…, CONFIG_INVALID, where the configuration alone asks for what cannot be
   */
  async start(check: (stream: StreamConfig) => void): Promise<void> {
    this.#watch = watchStreamSettings(this.#parts.state, this.#streams, (change) => this.#onChange(change), this.#parts.log);
    await this.#watch.initial;
    for (const stream of this.#streams) {
      this.#followed.add(stream.id);
      const change = this.#changes.get(stream.id);
      try {
        await this.#parts.registry.setStream(stream.id, streamWants(stream, change?.settings ?? stream));
        check(stream);
      } catch (error) {
        if (!this.#isChanged(stream, change)) throw error;
        this.#complain(stream.id, error);
      }
    }
  }

  close(): void {
    this.#watch?.close();
  }

  #onChange(change: StreamChange): void {
    const { streamId, settings } = change;
    this.#changes.set(streamId, change);
    const stream = this.#streams.find(({ id }) => id === streamId);
    if (stream === undefined || !this.#followed.has(streamId)) return;
    this.#parts.log.info({ stream: streamId, fields: change.desired?.fields ?? [], revision: change.revision }, 'settings of the stream were changed');
    this.#parts.registry.setStream(streamId, streamWants(stream, settings)).catch((error: unknown) => this.#complain(streamId, error));
  }

  /** Whether something else than the configuration has a say in what the stream asks for. */
  #isChanged(stream: StreamConfig, change: StreamChange | undefined): boolean {
    const models = [stream.model ?? [], stream.secondary.map(({ model }) => model)].flat();
    return (change !== undefined && change.desired !== null) || models.some((model) => this.#parts.registry.isAssigned(model));
  }

  #complain(streamId: string, error: unknown): void {
    this.#parts.log.error({ stream: streamId, code: codeOf(error) }, `what was changed of the stream cannot be: ${messageOf(error)}`);
  }
}

function streamWants({ secondary, tracker }: StreamConfig, { model, labels, minConfidence, thresholds, region }: LiveSettings): StreamWants {
  const weakConfidence = tracker.kind === 'none' ? null : tracker.lowConfidence;
  return { model, view: { labels, minConfidence, thresholds, region, weakConfidence }, secondary: secondary.map(({ model: name }) => name) };
}
