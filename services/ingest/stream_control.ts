import type { DesiredState } from '../../lib/desired_state.js';
import { hostPort } from '../../lib/listen.js';
import { RpcServer } from '../../lib/rpc.js';
import type { ServiceContext } from '../../lib/service.js';
import { StatusBoard } from '../../lib/status.js';
import type { LiveSettings } from '../../lib/stream_settings.js';
import { StreamServiceService } from '#proto/framebus/stream/v1/stream_service.js';
import { LiveStreams, type LiveStream } from './live_streams.js';
import { streamService } from './stream_service.js';
import { StreamUpdates } from './stream_updates.js';
import { WorkerModels } from './worker_models.js';

const nowMs = (): number => performance.now();

/** All that changes streams while they run: what is wanted of them, whether it holds, and the service that is asked. */
export class StreamControl {
  readonly #context: ServiceContext;
  readonly #state: DesiredState;
  readonly #board: StatusBoard;
  readonly #live: LiveStreams;
  readonly #updates: StreamUpdates;
  readonly #rpc: RpcServer;

  /**
   * @param state owned: closed with this
   * @param apply frames of a stream go by these settings from now on
   */
  constructor(context: ServiceContext, state: DesiredState, apply: (streamId: string, settings: LiveSettings) => void) {
    const { config, grpc, log, nats } = context;
    this.#context = context;
    this.#state = state;
    const workers = new WorkerModels(nowMs);
    this.#live = new LiveStreams(config.streams, { state, workers, apply, log, nowMs });
    this.#board = new StatusBoard(nats);
    this.#board.onStatus((status) => {
      workers.hear(status);
      if (status.service === 'infer') this.#live.look();
    });
    this.#updates = new StreamUpdates({ state, streams: this.#live, modelsDirectory: config.models.directory, log });
    this.#rpc = new RpcServer(grpc);
    this.#rpc.add(StreamServiceService, streamService(this.#updates));
  }

  /** Resolves when what was changed before is known. */
  start(): Promise<void> {
    return this.#live.start();
  }

  /** In the order of the configuration. */
  streams(): readonly LiveStream[] {
    return this.#live.all();
  }

  /** Serves gRPC; resolves to the address. Throws PORT_IN_USE, PORT_FORBIDDEN, ADDRESS_UNUSABLE. */
  async listen(): Promise<string> {
    const port = await this.#rpc.listen();
    this.#rpc.setServing(true);
    return hostPort(this.#context.grpc.host, port);
  }

  /** Takes back what does not hold yet. */
  async close(): Promise<void> {
    this.#live.close();
    await this.#updates.close();
    await this.#rpc.close();
    this.#board.close();
    await this.#state.close();
  }
}
