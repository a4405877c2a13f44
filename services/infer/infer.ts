import { GROUP_SHARE, INFER_GROUP } from '../../lib/bus/route.js';
import { readToken } from '../../lib/bus/token.js';
import type { StreamConfig } from '../../lib/config.js';
import type { Log } from '../../lib/log.js';
import type { Service, ServiceContext } from '../../lib/service.js';
import * as subjects from '../../lib/subjects.js';
import { ensureModelFile } from '../../models/fetch.js';
import { findManifest } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { BusConsumer } from '../../native/contract.js';
import { createBusConsumer } from '../../native/index.js';
import type { StreamStatus } from '#proto/framebus/status/v1/status.js';
import { classThresholds } from './class_thresholds.js';
import { engineThreads } from './engine_threads.js';
import { Executor } from './executor.js';
import { FrameConsumer, type FrameConsumerOptions } from './frame_consumer.js';
import { FrameTaker } from './frame_taker.js';
import { InferMetrics } from './metrics.js';
import { ModelRunner } from './model_runner.js';
import { checkRawLimit } from './raw_limit.js';
import { ResultPublisher } from './result_publisher.js';

/** Of nats-server, which says its own when it is connected. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
/** Frames of a dead worker come to another one after this. */
const ACK_WAIT_MS = 1_000;
/** Longer than any batch takes: a lossless frame is acknowledged when its result is out. */
const LOSSLESS_ACK_WAIT_MS = 30_000;

/**
 * Starts inference for every model that a stream uses. @throws MODEL_…, ENGINE_…,
 * and CONFIG_INVALID for labels that a model does not know
 */
export async function startInfer(context: ServiceContext): Promise<Service> {
  const { config, log } = context;
  const names = new Set(config.streams.flatMap(({ model }) => model ?? []));
  const models = [...names].map((name) => ({
    manifest: findManifest(name, config.models.directory),
    streams: config.streams.filter(({ model }) => model === name),
  }));
  const infer = new Infer(context);
  try {
    for (const { manifest, streams } of models) await infer.addModel(manifest, streams);
  } catch (error) {
    await infer.close();
    throw error;
  }
  log.info({ models: models.map(({ manifest }) => manifest.name) }, 'waiting for frames');
  return infer;
}

class Infer implements Service {
  readonly #context: ServiceContext;
  readonly #bus: BusConsumer;
  readonly #taker: FrameTaker;
  readonly #metrics: InferMetrics;
  readonly #runners: ModelRunner[] = [];
  #closed: Promise<void> | null = null;

  constructor(context: ServiceContext) {
    const { config, instance, log, counters } = context;
    this.#context = context;
    this.#bus = createBusConsumer(
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
    this.#taker = new FrameTaker(this.#bus, counters, log);
    this.#metrics = new InferMetrics(context.metrics);
  }

  /** Loads a model into its executors and starts to take frames for it. */
  async addModel(manifest: ModelManifest, streams: readonly StreamConfig[]): Promise<void> {
    const { config, counters, nats } = this.#context;
    const log = this.#context.log.child({ model: manifest.name });
    checkRawLimit(manifest, nats.info?.max_payload ?? DEFAULT_MAX_PAYLOAD);
    const modelFile = await this.#modelFile(manifest, log);
    const { executors: count, threads, batch, maxHeld } = config.infer;
    const maxBatch = Math.min(batch.size, manifest.batch === 'dynamic' ? batch.size : manifest.batch);
    const { filters, filterOf } = streamFilters(manifest, streams);
    const data = { manifest, modelFile, threads: engineThreads(threads, count), maxBatch, filters };
    const onChange = (): void => runner.pump();
    const executors = Array.from({ length: count }, () => new Executor({ data, log, onChange }));
    const consumers = this.#consumers(manifest.name, streams, (message, lossless) => this.#taker.take(message, lossless, runner), log);
    const publisher = new ResultPublisher(nats, manifest, (stream) => counters.stream(stream));
    const metrics = this.#metrics.model(
      manifest.name,
      streams.map(({ id }) => id),
    );
    const runner = new ModelRunner(
      { batchSize: maxBatch, maxAgeMs: batch.maxAgeMs, maxHeld, filterOf },
      { consumers, executors, publisher, metrics, log },
    );
    this.#runners.push(runner);
    await Promise.all(executors.map((executor) => executor.load()));
    await Promise.all(consumers.map((consumer) => consumer.start()));
    runner.pump();
  }

  ready(): string | null {
    return this.#runners.map((runner) => runner.ready()).find((why) => why !== null) ?? null;
  }

  streams(): StreamStatus[] {
    return this.#context.counters.statuses();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.close()));
    await this.#bus.close();
  }

  #modelFile(manifest: ModelManifest, log: Log): Promise<string> {
    let phase = '';
    return ensureModelFile(manifest, {
      cacheDirectory: this.#context.config.models.cache,
      signal: this.#context.signal,
      onProgress: (progress) => {
        if (progress.phase !== phase) log.info({ what: progress.what }, `model is not in the cache: ${progress.phase}`);
        phase = progress.phase;
      },
    });
  }

  #consumers(
    model: string,
    streams: readonly StreamConfig[],
    onFrame: (message: Parameters<FrameTaker['take']>[0], lossless: boolean) => void,
    log: Log,
  ): FrameConsumer[] {
    const modes = new Set(streams.map((stream) => stream.mode));
    return [...modes].map((mode) => {
      const lossless = mode === 'lossless';
      const options = lossless ? losslessConsumer(model) : latestConsumer(model);
      return new FrameConsumer(this.#context.nats, options, (message) => onFrame(message, lossless), log);
    });
  }
}

const latestConsumer = (model: string): FrameConsumerOptions => ({
  stream: subjects.FRAME_STREAM,
  durable: subjects.frameConsumer(model),
  filterSubject: subjects.framesOfModel(model),
  ackWaitMs: ACK_WAIT_MS,
});

const losslessConsumer = (model: string): FrameConsumerOptions => ({
  stream: subjects.LOSSLESS_FRAME_STREAM,
  durable: subjects.losslessFrameConsumer(model),
  filterSubject: subjects.losslessFramesOfModel(model),
  ackWaitMs: LOSSLESS_ACK_WAIT_MS,
});

/** Thresholds of every stream; the first entry is for streams that the configuration does not name. */
function streamFilters(
  manifest: ModelManifest,
  streams: readonly StreamConfig[],
): { filters: Float64Array[]; filterOf: (streamId: string) => number } {
  const everything = classThresholds(manifest, '', { labels: [], minConfidence: null });
  const filters = [everything, ...streams.map((stream) => classThresholds(manifest, stream.id, stream))];
  const indices = new Map(streams.map((stream, index) => [stream.id, index + 1]));
  return { filters, filterOf: (streamId) => indices.get(streamId) ?? 0 };
}
