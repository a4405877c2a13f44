import type { StreamConfig } from '../../lib/config.js';
import { DesiredState } from '../../lib/desired_state.js';
import type { RpcServer } from '../../lib/rpc.js';
import type { ServiceContext } from '../../lib/service.js';
import { ModelServiceService } from '#proto/framebus/model/v1/model_service.js';
import { DesiredModels } from './desired_models.js';
import { FollowedStreams } from './followed_streams.js';
import type { ModelRegistry } from './model_registry.js';
import { ModelServiceImpl } from './model_service.js';
import { ModelWatch } from './model_watch.js';

type LiveModelsContext = Pick<ServiceContext, 'config' | 'instance' | 'log' | 'nats'>;

/** Everything by which the models of a worker change while it runs: calls, what is stored on NATS, files. */
export class LiveModels {
  readonly #state: DesiredState;
  readonly #models: DesiredModels;
  readonly #streams: FollowedStreams;
  readonly #service: ModelServiceImpl;
  /** null: `models.watch` is off. */
  readonly #files: ModelWatch | null;

  private constructor({ config, instance, log }: LiveModelsContext, state: DesiredState, registry: ModelRegistry) {
    this.#state = state;
    this.#models = new DesiredModels({ state, registry, log });
    this.#streams = new FollowedStreams(config.streams, { state, registry, log });
    this.#service = new ModelServiceImpl({ instance, registry, models: this.#models });
    const { watch, directory } = config.models;
    this.#files = watch ? new ModelWatch({ models: () => registry.all(), directory, log }) : null;
  }

  /** Without a bucket for them on NATS nothing is changed, and nothing fails. */
  static async open(context: LiveModelsContext, registry: ModelRegistry): Promise<LiveModels> {
    return new LiveModels(context, await DesiredState.open(context.nats, context.log), registry);
  }

  /** Adds ModelService to a server that does not listen yet. */
  addTo(rpc: RpcServer): void {
    rpc.add(ModelServiceService, this.#service.handlers);
  }

  /** Loads what is wanted, and follows changes from then on. See `FollowedStreams.start`. */
  async start(check: (stream: StreamConfig) => void): Promise<void> {
    await this.#models.open();
    await this.#streams.start(check);
    await this.#models.start();
    this.#files?.start();
  }

  /** Ends what clients watch, so that the server can end. */
  endCalls(): void {
    this.#service.close();
  }

  async close(): Promise<void> {
    this.#service.close();
    this.#models.close();
    this.#streams.close();
    await this.#files?.close();
    await this.#state.close();
  }
}
