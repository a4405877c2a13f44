import { Events, type NatsConnection } from 'nats';
import { setTimeout as sleep } from 'node:timers/promises';
import { groupHold, INFER_GROUP, routeGroups } from '../../lib/bus/route.js';
import { Taps } from '../../lib/bus/taps.js';
import { PoolMetrics } from '../../lib/bus/pool_metrics.js';
import { readToken } from '../../lib/bus/token.js';
import { isFile, producerOf } from '../../lib/config/source_uri.js';
import type { Config, StreamConfig } from '../../lib/config.js';
import type { StreamCounters } from '../../lib/counters.js';
import { DesiredState } from '../../lib/desired_state.js';
import type { Log } from '../../lib/log.js';
import type { Service, ServiceContext } from '../../lib/service.js';
import type { LiveSettings } from '../../lib/stream_settings.js';
import type { BusServer, BusServerEvent, MemoryKind, PoolState } from '../../native/contract.js';
import { createBusServer, createSource, probeMedia, probeMemory } from '../../native/index.js';
import { StreamState, type StreamStatus } from '#proto/framebus/status/v1/status.js';
import { prepareBusDirectory } from '../../lib/bus/directory.js';
import { chooseFrameMemory } from './frame_memory.js';
import { NatsFramePublisher } from '../../lib/bus/frame_publisher.js';
import { Stream, type StreamOptions } from './stream.js';
import { StreamControl } from './stream_control.js';

const RESEND_AFTER_MS = 3_000;

/** Starts decoding all streams. Throws BUS_DIRECTORY, BUS_IN_USE, PORT_IN_USE. */
export async function startIngest(context: ServiceContext): Promise<Service> {
  const { config, log, nats } = context;
  await prepareBusDirectory(config.bus.directory);
  const memory = await frameMemories(config.streams, log);
  const ingest = new Ingest(context, memory, await DesiredState.open(nats, log));
  log.info({ directory: config.bus.directory, streams: config.streams.length }, 'frame bus is open');
  try {
    await ingest.start();
  } catch (error) {
    await ingest.close();
    throw error;
  }
  return ingest;
}

/** By what the streams ask for. Throws MEMORY_UNSUPPORTED. */
async function frameMemories(streams: readonly StreamConfig[], log: Log): Promise<ReadonlyMap<string, MemoryKind>> {
  const memories = new Map<string, MemoryKind>();
  for (const wanted of new Set(streams.map(({ memory }) => memory))) {
    const { kind, detail } = await chooseFrameMemory(wanted, { probeMedia, probeMemory });
    memories.set(wanted, kind);
    log.info({ wanted, memory: kind, detail }, 'frame memory');
  }
  return memories;
}

class Ingest implements Service {
  readonly #context: ServiceContext;
  readonly #server: BusServer;
  readonly #control: StreamControl;
  /** By name. */
  readonly #streams = new Map<string, Stream>();
  readonly #publishers = new Map<string, NatsFramePublisher>();
  readonly #taps = new Map<string, Taps>();
  readonly #metrics: PoolMetrics;
  readonly #memories: ReadonlyMap<string, MemoryKind>;
  #closed: Promise<void> | null = null;

  constructor(context: ServiceContext, memories: ReadonlyMap<string, MemoryKind>, state: DesiredState) {
    this.#context = context;
    this.#memories = memories;
    const { bus, ingest } = context.config;
    this.#server = createBusServer(
      {
        directory: bus.directory,
        producer: ingest.name,
        allowUids: [...bus.allowUids],
        allowGids: [...bus.allowGids],
        token: readToken(bus.tokenFile),
        leaseDeadlineMs: bus.leaseDeadlineMs,
      },
      (event) => this.#onBus(event),
    );
    this.#metrics = new PoolMetrics(context.metrics, () => this.#server.pools());
    this.#control = new StreamControl(context, state, (id, settings) => this.#apply(id, settings));
  }

  /** What was changed while streams ran before holds from their first frame on. */
  async start(): Promise<void> {
    await this.#control.start();
    this.#context.addresses.set('grpc', await this.#control.listen());
    for (const { config, settings } of this.#control.streams()) {
      // What a program of the user's own publishes is that program's affair.
      if (producerOf(config.source) === null) this.#streams.set(config.id, this.#createStream(config, settings));
    }
    for (const stream of this.#streams.values()) stream.start();
    void this.#resendAfterReconnects();
  }

  /** Ready as soon as the bus is open: a dead camera makes no service unready. */
  ready(): string | null {
    return null;
  }

  streams(): StreamStatus[] {
    return this.#context.counters.statuses();
  }

  pools(): PoolState[] {
    const pools = this.#server.pools();
    this.#metrics.see(pools);
    return pools;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#control.close();
    await Promise.all([...this.#streams.values()].map((stream) => stream.close()));
    await this.#server.close();
  }

  #apply(streamId: string, { model, interval }: LiveSettings): void {
    this.#publishers.get(streamId)?.setModel(model);
    this.#streams.get(streamId)?.configure({ inferred: model !== null, interval });
  }

  /** A restarted server has forgotten what it carried. */
  async #resendAfterReconnects(): Promise<void> {
    for await (const { type } of this.#context.nats.status()) {
      if (type !== Events.Reconnect) continue;
      // The others have to find the server again, too.
      await sleep(RESEND_AFTER_MS, undefined, { ref: false });
      for (const stream of this.#streams.values()) stream.resend();
    }
  }

  #createStream(config: StreamConfig, settings: LiveSettings): Stream {
    const { counters, nats, log } = this.#context;
    const stream = counters.stream(config.id);
    stream.setState(StreamState.STREAM_STATE_CONNECTING);
    const memory = this.#memories.get(config.memory) ?? 'shm';
    const publisher = publisherOf(config, settings, nats, stream);
    this.#publishers.set(config.id, publisher);
    return new Stream(streamOptions(config, settings, this.#context.config, memory), {
      producer: this.#context.config.ingest.name,
      server: this.#server,
      createSource,
      publisher,
      taps: this.#createTaps(config),
      onDecoded: (reason) => {
        stream.frameIn();
        if (reason === null) stream.frameOut();
        else stream.drop(reason);
      },
      onStateChange: (changed) => this.#onState(changed, stream),
      log,
    });
  }

  #createTaps({ id, mode, source }: StreamConfig): Taps {
    const { config, nats, log } = this.#context;
    const { name: producer, deliveryTtlMs } = config.ingest;
    const taps = new Taps({ streamId: id, producer, mode, live: !isFile(source), deliveryTtlMs }, { nats, log });
    this.#taps.set(id, taps);
    return taps;
  }

  #onState(changed: Stream, counters: StreamCounters): void {
    counters.setState(changed.state, changed.error?.message ?? '');
    if (changed.format !== null) counters.setSize(changed.format.width, changed.format.height);
    const failed = [...this.#streams.values()].every((s) => s.state === StreamState.STREAM_STATE_FAILED);
    // Nothing is left to do, and a restart would not help: say so with the exit code.
    if (failed && changed.error !== null) this.#context.fatal(changed.error);
  }

  #onBus(event: BusServerEvent): void {
    const { log } = this.#context;
    if (event.type === 'refused') {
      log.warn({ peerUid: event.peerUid }, `a consumer was refused: ${event.reason}`);
    } else if (event.type === 'attached') {
      log.info({ consumer: event.consumer, group: event.group }, 'consumer attached');
      for (const taps of this.#taps.values()) taps.attached(event.consumer);
    } else {
      this.#onDetached(event, log);
    }
  }

  #onDetached(event: Extract<BusServerEvent, { type: 'detached' }>, log: Log): void {
    const { consumer, group, held, reason, revoked } = event;
    if (revoked) {
      this.#metrics.revoked(consumer, group);
      log.error({ consumer, group, held: held.length, reason }, 'a consumer was fenced: its leases were taken back');
    } else {
      log.info({ consumer, group, held: held.length, reason }, 'consumer detached');
    }
    for (const taps of this.#taps.values()) taps.detached(consumer, group);
    if (group !== INFER_GROUP) return;
    for (const stream of this.#streams.values()) stream.lost(held);
  }
}

function publisherOf(
  { id: streamId, mode }: StreamConfig,
  { model }: LiveSettings,
  nats: NatsConnection,
  counters: StreamCounters,
): NatsFramePublisher {
  return new NatsFramePublisher(nats, { streamId, model, mode }, (reason) => {
    counters.drop(reason);
  });
}

function streamOptions(stream: StreamConfig, live: LiveSettings, config: Config, memory: MemoryKind): StreamOptions {
  const { slots, mode } = stream;
  const { inFlight } = config.ingest;
  const groups = routeGroups({ slots, mode, inFlight });
  return {
    source: {
      streamId: stream.id,
      uri: stream.source,
      loop: stream.loop,
      realtime: stream.pace === 'realtime',
      mode,
      memory,
      slots,
      groups,
      decoderThreads: config.ingest.decoderThreads,
      rtspTransport: stream.transport,
      noFrameTimeoutMs: stream.noFrameTimeoutMs,
    },
    dispatch: {
      inferred: live.model !== null,
      interval: live.interval,
      mode,
      inFlight: groupHold(groups, INFER_GROUP),
      deliveryTtlMs: config.ingest.deliveryTtlMs,
    },
    reconnect: stream.reconnect,
  };
}
