import { GROUP_SHARE, SINK_GROUP } from '../../lib/bus/route.js';
import { readToken } from '../../lib/bus/token.js';
import { RpcServer } from '../../lib/rpc.js';
import { hostPort } from '../../lib/listen.js';
import { encodeTrackHints } from '../../lib/messages.js';
import { isConnected } from '../../lib/nats.js';
import type { HttpRoute } from '../../lib/http.js';
import type { Service, ServiceContext } from '../../lib/service.js';
import { StatusBoard } from '../../lib/status.js';
import * as subjects from '../../lib/subjects.js';
import type { BusConsumer } from '../../native/contract.js';
import {
  chooseEncoder,
  createBusConsumer,
  createClipCache,
  createOutput,
  createRecording,
  createTiler,
  monotonicNs,
} from '../../native/index.js';
import { DetectionServiceService } from '#proto/framebus/detection/v1/detection_service.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { RecordingServiceService } from '#proto/framebus/recording/v1/recording_service.js';
import { SnapshotServiceService } from '#proto/framebus/snapshot/v1/snapshot_service.js';
import type { StreamStatus } from '#proto/framebus/status/v1/status.js';
import { StatusServiceService } from '#proto/framebus/status/v1/status_service.js';
import { DetectionServiceImpl } from './detection_service.js';
import { EventRecordings } from './events/event_recordings.js';
import { TriggerSubscriber } from './events/trigger_subscriber.js';
import { FrameLeaser } from './frame_leaser.js';
import { bundleRoutes, LiveBundles } from './live_bundle.js';
import { LiveViews } from './live_view.js';
import { LogLimit } from '../../lib/log_limit.js';
import { pageRoutes } from './page.js';
import { PageEvents } from './page_events.js';
import { ServiceLoads, type PageStatus } from './page_status.js';
import { registerMetrics } from './metrics.js';
import { OutputCounters } from './output_counters.js';
import { Recordings } from './recording/recordings.js';
import { recordingService } from './recording_service.js';
import type { RecordCursor } from './record_cursor.js';
import { RecordHub } from './record_hub.js';
import { RecordReader } from './record_reader.js';
import { RecordStore } from './record_store.js';
import { recordStreamState } from './record_stream.js';
import { ResultSubscriber } from './result_subscriber.js';
import { RtspOutlet } from './rtsp_outlet.js';
import { snapshotService } from './snapshot_service.js';
import { statusService } from './status_service.js';
import { StreamSummaries } from './stream_summary.js';
import { Streams } from './streams.js';
import { TiledOutputs } from './tiled_outputs.js';

/** Records that may wait for one gRPC subscriber. */
const SUBSCRIBER_QUEUE = 256;
const STATUS_PAUSE_MS = 1_000;

/** Starts the sink. Throws PORT_IN_USE, RTSP_PORT_IN_USE and their like. */
export async function startSink(context: ServiceContext): Promise<Service> {
  const sink = new Sink(context);
  try {
    await sink.start();
  } catch (error) {
    await sink.close();
    throw error;
  }
  return sink;
}

const nowMs = (): number => performance.now();

/** Wires the parts. They close in the reverse order of the way that a frame takes. */
/** Pools bound what can be held anyway. */
const UNLIMITED = 1024;

class Sink implements Service {
  readonly routes: readonly HttpRoute[];
  readonly #context: ServiceContext;
  readonly #rtsp: RtspOutlet;
  readonly #consumer: BusConsumer;
  readonly #rpc: RpcServer;
  readonly #hub = new RecordHub(SUBSCRIBER_QUEUE);
  readonly #store: RecordStore;
  readonly #recordings: Recordings;
  readonly #eventRecordings: EventRecordings;
  readonly #tiles: TiledOutputs;
  readonly #streams: Streams;
  readonly #detections: DetectionServiceImpl;
  readonly #views: LiveViews;
  readonly #bundles: LiveBundles;
  readonly #events = new PageEvents(nowMs);
  readonly #board: StatusBoard;
  readonly #summaries = new StreamSummaries(nowMs, (streamId) => this.#streams.outputs(streamId));
  readonly #loads = new ServiceLoads();
  readonly #limit = new LogLimit();
  #results: ResultSubscriber | null = null;
  #triggers: TriggerSubscriber | null = null;
  #statusTimer: NodeJS.Timeout | null = null;
  #closed: Promise<void> | null = null;

  constructor(context: ServiceContext) {
    const { config, counters, log, nats } = context;
    const { rtsp, reorder, encode } = config.sink;
    this.#context = context;
    const { element, reason } = chooseEncoder(encode);
    log.info({ encoder: element, codec: encode.codec, reason }, 'encoder chosen');
    this.#rtsp = new RtspOutlet(rtsp, log);
    this.#consumer = busConsumer(context);
    const { metrics } = context;
    const events = new EventRecordings(config.sink.recordings, config.streams, { addon: { createClipCache }, log, metrics });
    this.#eventRecordings = events;
    this.#recordings = new Recordings(config.sink.recordings, config.streams, {
      addon: { createRecording },
      log,
      metrics,
      events: { retention: events.retention, files: () => events.files() },
    });
    this.#tiles = tiledOutputs(context, this.#rtsp);
    this.#streams = new Streams(
      { reorder, encode, inFlight: config.ingest.inFlight, streams: config.streams, osd: config.defaults.osd, outputs: config.defaults.outputs },
      {
        addon: { createOutput, monotonicNs },
        rtsp: this.#rtsp.server,
        counters,
        outputCounters: new OutputCounters(context.metrics),
        log,
        publish: (record) => {
          this.#publish(record);
        },
        recording: (streamId) => this.#recordings.of(streamId),
        events: (streamId) => events.of(streamId),
        shown: (streamId, output) => {
          this.#tiles.show(streamId, output);
        },
        tell: (hints) => {
          if (isConnected(nats)) nats.publish(subjects.tracks(hints.streamId), encodeTrackHints(hints));
        },
      },
    );
    this.#store = this.#recordStore();
    this.#detections = new DetectionServiceImpl(this.#hub, this.#streams, {
      isOn: this.#store.isOn,
      head: () => this.#store.head,
      state: () => recordStreamState(nats),
      reader: () => new RecordReader(nats),
    });
    this.#views = new LiveViews(this.#streams);
    this.#bundles = new LiveBundles(this.#streams);
    this.#board = new StatusBoard(nats, nowMs);
    this.#rpc = new RpcServer(context.grpc);
    this.#registerMetrics();
    const routes = pageRoutes({
      streams: this.#streams,
      tiles: this.#tiles,
      views: this.#views,
      events: this.#events,
      status: () => this.#pageStatus(),
    });
    this.routes = [...routes, ...bundleRoutes(this.#bundles)];
  }

  async start(): Promise<void> {
    const { config, addresses } = this.#context;
    this.#rpc.add(DetectionServiceService, this.#detections.handlers);
    this.#rpc.add(RecordingServiceService, recordingService(this.#streams, this.#eventRecordings));
    this.#rpc.add(SnapshotServiceService, snapshotService(this.#streams));
    this.#rpc.add(StatusServiceService, statusService(this.#board));
    const { grpc } = config.sink;
    addresses.set('grpc', hostPort(grpc.host, await this.#rpc.listen()));
    addresses.set('rtsp', this.#rtsp.address);
    addresses.set('page', `${addresses.get('http') ?? ''}/`);
    this.#board.onStatus((status) => {
      this.#summaries.hear(status);
      this.#loads.hear(status);
    });
    this.#statusTimer = setInterval(() => {
      this.#events.send('status', this.#pageStatus());
    }, STATUS_PAUSE_MS);
    this.#store.start();
    this.#recordings.start();
    this.#hearTriggers();
    this.#tiles.start();
    this.#hearResults();
    this.#rpc.setServing(true);
  }

  ready(): string | null {
    return this.#results === null ? 'not subscribed to results yet' : null;
  }

  streams(): StreamStatus[] {
    return this.#context.counters.statuses();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#results?.close();
    this.#triggers?.close();
    await Promise.all([this.#streams.close(), this.#tiles.close()]);
    await this.#eventRecordings.close();
    await this.#recordings.close();
    await this.#store.close();
    this.#detections.close();
    this.#views.close();
    this.#bundles.close();
    this.#events.close();
    if (this.#statusTimer) clearInterval(this.#statusTimer);
    await this.#rpc.close();
    this.#board.close();
    await this.#consumer.close();
    await this.#rtsp.server.close();
  }

  #hearResults(): void {
    const { nats, log, counters, config } = this.#context;
    const lossless = new Set(config.streams.filter(({ mode }) => mode === 'lossless').map(({ id }) => id));
    const leaser = new FrameLeaser(
      this.#consumer,
      {
        received: (received) => {
          this.#streams.receive(received);
        },
        attached: (producer, epoch, ms, waited) => {
          log.info({ producer, epoch, ms: Math.round(ms), waited }, 'pool attached');
        },
        attachFailed: (producer, epoch, error) => {
          const skipped = this.#limit.take(producer);
          if (skipped === null) return;
          log.warn({ producer, epoch, err: error, skipped }, 'pool not attached; its pictures are lost');
        },
        quotaReached: () => {
          const skipped = this.#limit.take('quota');
          const held = this.#consumer.held();
          if (skipped !== null) log.warn({ held, skipped }, 'sink.max_held is reached; a picture is lost');
        },
      },
      (streamId) => lossless.has(streamId),
      nowMs,
    );
    this.#results = new ResultSubscriber(
      nats,
      {
        result: (received) => {
          leaser.take(received);
        },
        unknownVersion: (streamId) => {
          counters.stream(streamId).drop('unknown_version');
        },
      },
      log,
    );
  }

  #hearTriggers(): void {
    const { nats, log, metrics } = this.#context;
    this.#triggers = new TriggerSubscriber({ nats, log, metrics, streams: this.#streams, events: this.#eventRecordings });
  }

  #publish(record: DetectionRecord): void {
    this.#store.put(record);
    this.#events.see(record);
    this.#eventRecordings.see(record);
  }

  #recordStore(): RecordStore {
    const { nats, config, log } = this.#context;
    const listener = {
      settled: (record: DetectionRecord, cursor: RecordCursor | null) => {
        this.#hub.publish(record, cursor);
      },
      moved: () => {
        this.#hub.moved();
      },
      remade: () => {
        this.#detections.remade();
      },
    };
    return new RecordStore(nats, config.sink.records, listener, log);
  }

  #registerMetrics(): void {
    this.#tiles.registerMetrics(this.#context.metrics);
    registerMetrics(this.#context.metrics, {
      rtspDropped: () => this.#rtsp.dropped,
      rtspDenied: () => this.#rtsp.denied,
      recordsDropped: () => this.#hub.dropped,
      recordsStored: () => this.#store.stored,
      recordsNotStored: () => this.#store.notStored,
      clients: () => ({
        grpc: this.#hub.subscribers,
        page: this.#views.viewers + this.#bundles.viewers,
        rtsp: this.#rtsp.server.clients(),
      }),
      leases: () => this.#consumer.held(),
    });
  }

  #pageStatus(): PageStatus {
    return {
      services: this.#loads.summaries(this.#board.latest()),
      streams: this.#summaries.streams(),
      tiles: this.#tiles.summaries(),
      addresses: Object.fromEntries(this.#context.addresses),
    };
  }
}

function tiledOutputs({ config, log }: ServiceContext, { server }: RtspOutlet): TiledOutputs {
  const streams = config.streams.map(({ id }) => id);
  return new TiledOutputs(config.sink.tiles, streams, { addon: { createOutput, createTiler }, rtsp: server, log });
}

/** What sink leases frames with. */
function busConsumer({ config, instance, log }: ServiceContext): BusConsumer {
  return createBusConsumer(
    {
      directory: config.bus.directory,
      name: instance,
      group: SINK_GROUP,
      maxHeld: config.sink.maxHeld ?? UNLIMITED,
      ...GROUP_SHARE,
      token: readToken(config.bus.tokenFile),
    },
    (event) => {
      if (event.type === 'leaked') log.error(event, 'a frame lease was lost; it is ended now');
      else if (event.type === 'revoked') log.error(event, 'the producer took its frames back; attaching again');
      else log.warn({ producer: event.producer, reason: event.reason }, 'producer is gone; waiting for it');
    },
  );
}
