import { GROUP_SHARE, INFER_GROUP } from '../../lib/bus/route.js';
import { readToken } from '../../lib/bus/token.js';
import { hostPort } from '../../lib/listen.js';
import { RpcServer } from '../../lib/rpc.js';
import type { Service, ServiceContext } from '../../lib/service.js';
import type { BusConsumer } from '../../native/contract.js';
import { createBusConsumer } from '../../native/index.js';
import type { ServedModel as ServedModelStatus } from '#proto/framebus/model/v1/served_model.js';
import type { StreamStatus } from '#proto/framebus/status/v1/status.js';
import { checkSecondaries } from './check_secondaries.js';
import { CropStage } from './crop_stage.js';
import { FrameAnswers } from './frame_answers.js';
import { frameConsumers } from './frame_consumers.js';
import { FrameTaker } from './frame_taker.js';
import { LiveModels } from './live_models.js';
import { InferMetrics } from './metrics.js';
import { KserveService, KSERVE_MAX_REQUEST_BYTES } from './kserve_service.js';
import { ModelLoader } from './model_loader.js';
import { ModelRegistry } from './model_registry.js';
import { ModelRunner } from './model_runner.js';
import { ResultPublisher } from './result_publisher.js';
import type { ServedModelParts } from './served_model.js';
import { TrackMemory } from './track_memory.js';
import { subscribeTracks } from './track_subscriber.js';

/** Of nats-server, which says its own when it is connected. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
/** Frames for a model that a stream has just left may be on their way for so long. */
const LINGER_MS = 10_000;

/**
 * Starts inference for every model that a stream uses. @throws MODEL_…, ENGINE_…,
 * and CONFIG_INVALID for labels that a model does not know
 */
export async function startInfer(context: ServiceContext): Promise<Service> {
  const infer = new Infer(context);
  try {
    await infer.start();
  } catch (error) {
    await infer.close();
    throw error;
  }
  return infer;
}

class Infer implements Service {
  readonly #context: ServiceContext;
  readonly #bus: BusConsumer;
  readonly #taker: FrameTaker;
  readonly #metrics: InferMetrics;
  readonly #loader: ModelLoader;
  readonly #registry: ModelRegistry;
  readonly #rpc: RpcServer;
  readonly #crops: CropStage;
  #live: LiveModels | null = null;
  #closed: Promise<void> | null = null;

  constructor(context: ServiceContext) {
    const { config, counters, log, nats, signal } = context;
    this.#context = context;
    this.#bus = createConsumer(context);
    this.#taker = new FrameTaker(this.#bus, counters, log, config.bus.leaseDeadlineMs);
    this.#metrics = new InferMetrics(context.metrics);
    this.#loader = new ModelLoader({
      models: config.models,
      infer: config.infer,
      maxPayloadBytes: () => nats.info?.max_payload ?? DEFAULT_MAX_PAYLOAD,
      signal,
      log,
    });
    this.#registry = new ModelRegistry({ parts: (name, onChange) => this.#parts(name, onChange), log, lingerMs: LINGER_MS });
    this.#crops = this.#createCropStage();
    this.#rpc = new RpcServer(context.grpc, { maxRequestBytes: KSERVE_MAX_REQUEST_BYTES });
    const kserve = new KserveService(this.#registry);
    this.#rpc.add(kserve.definition, kserve.handlers);
  }

  /** Loads what the streams ask for, and starts to take frames. */
  async start(): Promise<void> {
    const { grpc, log, addresses } = this.#context;
    this.#live = await LiveModels.open(this.#context, this.#registry);
    this.#live.addTo(this.#rpc);
    addresses.set('grpc', hostPort(grpc.host, await this.#rpc.listen()));
    await this.#live.start((stream) => checkSecondaries(stream, (name) => this.#registry.require(name).generation.manifest));
    this.#rpc.setServing(true);
    log.info({ models: this.#registry.names() }, 'waiting for frames');
  }

  ready(): string | null {
    return this.#registry.notReady();
  }

  streams(): StreamStatus[] {
    return this.#context.counters.statuses();
  }

  models(): ServedModelStatus[] {
    return this.#registry.statuses();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#live?.endCalls();
    await this.#rpc.close();
    await this.#live?.close();
    await this.#registry.close();
    await this.#bus.close();
  }

  #createCropStage(): CropStage {
    const { config, nats, log } = this.#context;
    const secondaries = new Map(config.streams.map(({ id, secondary }) => [id, secondary]));
    const tracks = new TrackMemory(() => performance.now());
    if ([...secondaries.values()].flat().some(({ interval }) => interval > 0)) subscribeTracks(nats, tracks, log);
    return new CropStage({ secondaries: (id) => secondaries.get(id) ?? [], model: (name) => this.#registry.get(name), tracks, log });
  }

  /** What a served model is made of. */
  #parts(name: string, onChange: () => void): ServedModelParts {
    const { config, counters, nats } = this.#context;
    const log = this.#context.log.child({ model: name });
    const metrics = this.#metrics.model(
      name,
      config.streams.map(({ id }) => id),
    );
    const publisher = new ResultPublisher(nats, name, (stream) => counters.stream(stream));
    const answers = new FrameAnswers({ publisher, metrics, secondStage: this.#crops, onLetGo: () => runner.pump() });
    const consumers = frameConsumers(name, config.streams, nats, log, (message, lossless) => {
      const served = this.#registry.get(name);
      if (served !== undefined) this.#taker.take(message, lossless, served);
    });
    const { batch, maxHeld } = config.infer;
    const runner = new ModelRunner({ maxAgeMs: batch.maxAgeMs, maxHeld, leaseDeadlineMs: config.bus.leaseDeadlineMs }, { consumers, held: () => answers.open, metrics, log });
    return { runner, answers, consumers, load: (manifest, filters) => this.#loader.load(manifest, filters), onChange, log };
  }
}

function createConsumer({ config, instance, log }: ServiceContext): BusConsumer {
  return createBusConsumer(
    {
      directory: config.bus.directory,
      name: instance,
      group: INFER_GROUP,
      maxHeld: config.infer.maxHeld,
      ...GROUP_SHARE,
      token: readToken(config.bus.tokenFile),
    },
    (event) => {
      if (event.type === 'leaked') log.error(event, 'a frame lease was lost; it is ended now');
      else if (event.type === 'revoked') log.error(event, 'the producer took its frames back; attaching again');
      else log.warn(event, 'producer is gone; its next pool is attached when it is back');
    },
  );
}
