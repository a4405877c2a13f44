import { resolve } from 'node:path';
import type { EncodeOptions, MemoryKind, RtspTransport } from '../../native/contract.js';
import { FramebusError } from '../errors.js';
import { eventsConfig, type EventsConfig } from './events.js';
import { cacheDirectory, defaultBusDirectory, modelsDirectory, type Environment } from './locations.js';
import { osdConfig, type OsdConfig } from './osd.js';
import { outputConfigs, type OutputConfig } from './outputs.js';
import { natsUrl, type ConfigFile } from './schema.js';
import { toUri } from './source_uri.js';
import { tilesConfigs, type TilesConfig } from './tiles.js';
import { redactUrl, type LogFormat, type LogLevel } from '../log.js';

/** Where to listen. */
export interface EndpointConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

export interface IngestConfig {
  /** Name of the producer and of its socket. */
  readonly name: string;
  readonly http: EndpointConfig;
  readonly grpc: EndpointConfig;
  /** How long a published frame waits for a worker, and then for sink. */
  readonly deliveryTtlMs: number;
  /** Frames of one stream that workers may hold at once. */
  readonly inFlight: number;
  /** 0 lets the decoder choose. */
  readonly decoderThreads: number;
}

export interface BatchConfig {
  /** Most frames in a batch. */
  readonly size: number;
  /** A batch starts when its oldest frame is so old. */
  readonly maxAgeMs: number;
}

export interface InferConfig {
  readonly name: string;
  readonly http: EndpointConfig;
  readonly grpc: EndpointConfig;
  /** auto, onnxruntime, tensorrt, or the path of an engine plugin. */
  readonly engine: string;
  readonly batch: BatchConfig;
  /** Worker threads that run the engine. */
  readonly executors: number;
  /** Threads of the engine in each executor; 0 divides the machine's cores. */
  readonly threads: number;
  /** Most frames of one producer that the worker leases at once. */
  readonly maxHeld: number;
}

export interface ReorderConfig {
  /** Most frames of a stream that wait for an earlier one. */
  readonly window: number;
  /** Longest wait for an earlier frame. */
  readonly deadlineMs: number;
}

/** As outputs take it. */
export type EncodeConfig = Readonly<EncodeOptions>;

export interface RecordsConfig {
  /** Records are stored for so long; 0: until there is no room. */
  readonly maxAgeMs: number;
  /** The oldest go when the store is larger; 0: nothing is stored. */
  readonly maxBytes: number;
}

export interface RtspUserConfig {
  readonly name: string;
  readonly passwordFile: string;
  /** Streams that it may watch with all their outputs, or single outputs; "*" is all. */
  readonly mounts: readonly string[];
}

export interface RtspConfig extends EndpointConfig {
  readonly maxClients: number;
  readonly transports: readonly RtspTransport[];
  /** A player that is not heard of for so long is dropped. */
  readonly sessionTimeoutMs: number;
  /** Without any, everybody may watch everything. */
  readonly users: readonly RtspUserConfig[];
  /** Null: no TLS. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
}

export interface SinkConfig {
  readonly name: string;
  readonly http: EndpointConfig;
  readonly grpc: EndpointConfig;
  readonly rtsp: RtspConfig;
  readonly reorder: ReorderConfig;
  readonly encode: EncodeConfig;
  readonly records: RecordsConfig;
  readonly recordings: RecordingsConfig;
  /** Pictures of many streams in one. */
  readonly tiles: readonly TilesConfig[];
  /** Most frames of one producer that the sink leases at once; null: as many as its pools have. */
  readonly maxHeld: number | null;
}

export interface ReconnectConfig {
  /** Wait before the first new try; doubles with each failure. */
  readonly initialMs: number;
  /** Longest wait. */
  readonly maxMs: number;
}

/** A rectangle in fractions of the frame, 0 to 1, from the top left. */
export interface RegionConfig {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A model that looks at what the stream's own model has found. */
export interface SecondaryConfig {
  readonly model: string;
  /** Labels of the detections to look at; empty: all. */
  readonly labels: readonly string[];
  /** Shortest side of a detection, in pixels of the frame. */
  readonly minSize: number;
  /** Frames to leave out after each one that is looked at. */
  readonly interval: number;
}

/** How the objects of a stream are followed; see docs/tracking.md. */
export interface TrackerConfig {
  readonly kind: 'byte' | 'oc_sort' | 'none';
  /** Detections from here on are strong. */
  readonly highConfidence: number;
  /** Detections below this are ignored. */
  readonly lowConfidence: number;
  /** Detections from here on may begin a track; null: 0.1 above `highConfidence`. */
  readonly newConfidence: number | null;
  /** Least overlap of a detection with its track; null: as is usual for the kind. */
  readonly minOverlap: number | null;
  /** oc_sort: how much the direction of motion counts. */
  readonly inertia: number;
  /** A track that was not seen for so long ends. */
  readonly lostMs: number;
  /** Detections in a row that make a track. */
  readonly confirmHits: number;
}

/** Where recordings lie. */
export interface RecordingsConfig {
  /** Absolute. */
  readonly root: string;
  /** Room that is left on its file system; 0: none. */
  readonly minFreeBytes: number;
}

/** How a stream is recorded; see docs/recordings.md. */
export interface RecordConfig {
  readonly enabled: boolean;
  /** Below the root of the recordings. */
  readonly folder: string;
  readonly segmentMs: number;
  /** Of a segment's video; 0: no limit. */
  readonly maxBytes: number;
  /** Older segments are deleted; 0: none is. */
  readonly keepMs: number;
  /** Whether each segment gets a file with a line per frame. */
  readonly sidecar: boolean;
  /** Name of the output that is recorded; null: the annotated one. */
  readonly output: string | null;
}

/** One stream, what `defaults` says included. */
export interface StreamConfig {
  readonly id: string;
  /** A URI; paths of the file have become file:// ones. */
  readonly source: string;
  /** Files: play again and again. */
  readonly loop: boolean;
  /** Files: at the pace of their timestamps, or as fast as possible. */
  readonly pace: 'realtime' | 'fast';
  /** Name of the model; null when nobody is to look at the stream. */
  readonly model: string | null;
  readonly mode: 'latest' | 'lossless';
  /** Frames to leave out after each one that is looked at. */
  readonly interval: number;
  /** Labels to keep; empty keeps all. */
  readonly labels: readonly string[];
  /** Lowest confidence to keep; null leaves it to the model. */
  readonly minConfidence: number | null;
  /** Lowest confidence to keep, by label; counts more than `minConfidence`. */
  readonly thresholds: Readonly<Record<string, number>>;
  /** What the network is shown; null: the whole frame. */
  readonly region: RegionConfig | null;
  /** Models that look at the detections once more, in this order. */
  readonly secondary: readonly SecondaryConfig[];
  /** Kind of memory for the frames; auto: what the machine's decoder gives. */
  readonly memory: MemoryKind | 'auto';
  /** Frames that consumers may hold at once; the decoder's own come on top. */
  readonly slots: number;
  /** RTSP transport. */
  readonly transport: 'tcp' | 'udp';
  /** No frame for so long is a failure; 0 means never. */
  readonly noFrameTimeoutMs: number;
  readonly tracker: TrackerConfig;
  readonly osd: OsdConfig;
  readonly outputs: readonly OutputConfig[];
  readonly record: RecordConfig;
  readonly events: EventsConfig;
  readonly reconnect: ReconnectConfig;
}

/** The whole configuration: plain values, frozen, every default filled in. */
export interface Config {
  readonly log: { readonly level: LogLevel; readonly format: LogFormat };
  readonly bus: {
    /** Folder of the bus sockets. */
    readonly directory: string;
    readonly allowUids: readonly number[];
    readonly allowGids: readonly number[];
    /** File with the token that consumers must know; null: none is asked for. */
    readonly tokenFile: string | null;
    /** A consumer that keeps a frame longer loses its leases; 0: never. */
    readonly leaseDeadlineMs: number;
  };
  /** "embedded" only before `framebus up` has started its own server. */
  readonly nats: { readonly url: string };
  readonly ingest: IngestConfig;
  readonly infer: InferConfig;
  readonly sink: SinkConfig;
  readonly models: {
    /** Folder of the manifests. */
    readonly directory: string;
    /** Folder of fetched files. */
    readonly cache: string;
    /** Whether a changed manifest or model file is loaded by itself. */
    readonly watch: boolean;
  };
  /** What holds for streams that the file does not name, too. */
  readonly defaults: { readonly osd: OsdConfig; readonly outputs: readonly OutputConfig[] };
  /** In the order of the file. */
  readonly streams: readonly StreamConfig[];
}

/** Fills in what depends on the machine, the environment and the file's place; `directory` is absolute. */
export function resolveConfig(file: ConfigFile, directory: string, environment: Environment): Config {
  return freeze({
    log: { level: file.log.level, format: logFormat(file.log.format, environment) },
    bus: {
      directory:
        file.bus.directory === null
          ? defaultBusDirectory(environment)
          : resolve(directory, file.bus.directory),
      allowUids: file.bus.allow_uids,
      allowGids: file.bus.allow_gids,
      tokenFile: file.bus.token_file === null ? null : resolve(directory, file.bus.token_file),
      leaseDeadlineMs: file.bus.lease_deadline,
    },
    nats: { url: natsServer(file.nats.url, environment) },
    ingest: ingestConfig(file.ingest),
    infer: inferConfig(file.infer, directory),
    sink: sinkConfig(file.sink, directory),
    models: {
      directory: modelsDirectory(file.models.directory, directory),
      cache: cacheDirectory(file.models.cache, directory, environment),
      watch: file.models.watch,
    },
    defaults: { osd: osdConfig(file.defaults.osd, null), outputs: outputConfigs(file.defaults.outputs) },
    streams: Object.entries(file.streams).map(([id, stream]) =>
      streamConfig(id, stream, file.defaults, directory),
    ),
  });
}

/** What x264 and x265 take by default. */
const USUAL_QUALITY = { h264: 23, h265: 28 } as const;

/** NATS_URL counts more than the file. Throws CONFIG_INVALID. */
function natsServer(written: string, environment: Environment): string {
  const asked = environment['NATS_URL'];
  if (asked === undefined || asked === '') return written;
  const parsed = natsUrl.safeParse(asked, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new FramebusError('CONFIG_INVALID', redactUrl(`NATS_URL: ${parsed.error.issues[0]?.message ?? 'is wrong'}`), {
    remedy: 'Correct the environment variable (or --nats), or leave it out.',
  });
}

/** `framebus up` asks its services for the form that it writes itself. Throws CONFIG_INVALID. */
function logFormat(written: LogFormat, environment: Environment): LogFormat {
  const asked = environment['FRAMEBUS_LOG_FORMAT'];
  if (asked === undefined || asked === '') return written;
  if (asked === 'auto' || asked === 'text' || asked === 'json') return asked;
  throw new FramebusError('CONFIG_INVALID', `FRAMEBUS_LOG_FORMAT: must be auto, text or json, is "${asked}"`, {
    remedy: 'Correct the environment variable, or leave it out.',
  });
}

function ingestConfig(ingest: ConfigFile['ingest']): IngestConfig {
  return {
    name: ingest.name,
    http: ingest.http,
    grpc: ingest.grpc,
    deliveryTtlMs: ingest.delivery_ttl,
    inFlight: ingest.in_flight,
    decoderThreads: ingest.decoder_threads,
  };
}

function inferConfig(infer: ConfigFile['infer'], directory: string): InferConfig {
  return {
    name: infer.name,
    http: infer.http,
    grpc: infer.grpc,
    engine: infer.engine.endsWith('.so') ? resolve(directory, infer.engine) : infer.engine,
    batch: { size: infer.batch.size, maxAgeMs: infer.batch.max_age },
    executors: infer.executors,
    threads: infer.threads,
    maxHeld: infer.max_held,
  };
}

function rtspConfig(rtsp: ConfigFile['sink']['rtsp'], directory: string): RtspConfig {
  const { cert_file, key_file } = rtsp.tls;
  return {
    host: rtsp.host,
    port: rtsp.port,
    maxClients: rtsp.max_clients,
    transports: rtsp.transports,
    sessionTimeoutMs: rtsp.session_timeout,
    users: rtsp.users.map((user) => ({
      name: user.name,
      passwordFile: resolve(directory, user.password_file),
      mounts: user.mounts,
    })),
    // That there is none without the other is seen to in conflicts.ts.
    tls:
      cert_file === null || key_file === null
        ? null
        : { certFile: resolve(directory, cert_file), keyFile: resolve(directory, key_file) },
  };
}

function sinkConfig(sink: ConfigFile['sink'], directory: string): SinkConfig {
  const { rtsp, reorder, encode } = sink;
  return {
    name: sink.name,
    http: sink.http,
    grpc: sink.grpc,
    rtsp: rtspConfig(rtsp, directory),
    reorder: { window: reorder.window, deadlineMs: reorder.deadline },
    encode: encodeConfig(encode),
    records: { maxAgeMs: sink.records.max_age, maxBytes: sink.records.max_bytes },
    recordings: { root: resolve(directory, sink.recordings.root), minFreeBytes: sink.recordings.min_free },
    tiles: tilesConfigs(sink.tiles, encodeConfig(encode)),
    maxHeld: sink.max_held,
  };
}

function encodeConfig(encode: ConfigFile['sink']['encode']): EncodeConfig {
  const { codec, encoder, rate_control: rateControl, bitrate_kbps: bitrateKbps } = encode;
  return {
    codec,
    encoder,
    rateControl,
    bitrateKbps,
    maxBitrateKbps: encode.max_bitrate_kbps ?? (rateControl === 'vbr' ? 2 * bitrateKbps : 0),
    quality: encode.quality ?? USUAL_QUALITY[codec],
    preset: encode.preset,
    keyframeIntervalMs: encode.keyframe_interval,
    threads: encode.threads,
  };
}

function streamConfig(
  id: string,
  stream: ConfigFile['streams'][string],
  defaults: ConfigFile['defaults'],
  directory: string,
): StreamConfig {
  return {
    id,
    source: toUri(stream.source, directory),
    loop: stream.loop,
    pace: stream.pace,
    // null is a value of its own here: no model, although there is a default one.
    model: stream.model === undefined ? defaults.model : stream.model,
    mode: stream.mode ?? defaults.mode,
    interval: stream.interval ?? defaults.interval,
    labels: stream.labels ?? defaults.labels,
    minConfidence: stream.min_confidence === undefined ? defaults.min_confidence : stream.min_confidence,
    thresholds: stream.thresholds ?? defaults.thresholds,
    region: stream.region === undefined ? defaults.region : stream.region,
    secondary: (stream.secondary ?? defaults.secondary).map(({ min_size: minSize, ...rest }) => ({ ...rest, minSize })),
    memory: stream.memory ?? defaults.memory,
    slots: stream.slots ?? defaults.slots,
    transport: stream.transport ?? defaults.transport,
    noFrameTimeoutMs: stream.no_frame_timeout ?? defaults.no_frame_timeout,
    tracker: trackerConfig({ ...defaults.tracker, ...defined(stream.tracker) }),
    osd: osdConfig(defaults.osd, stream.osd),
    outputs: outputConfigs(stream.outputs ?? defaults.outputs),
    events: eventsConfig(id, defaults.events, stream.events),
    record: recordConfig(id, { ...defaults.record, ...defined(stream.record) }),
    reconnect: {
      initialMs: stream.reconnect.initial ?? defaults.reconnect.initial,
      maxMs: stream.reconnect.max ?? defaults.reconnect.max,
    },
  };
}

const trackerConfig = (tracker: ConfigFile['defaults']['tracker']): TrackerConfig => ({
  kind: tracker.kind,
  highConfidence: tracker.high_confidence,
  lowConfidence: tracker.low_confidence,
  newConfidence: tracker.new_confidence,
  minOverlap: tracker.min_overlap,
  inertia: tracker.inertia,
  lostMs: tracker.lost,
  confirmHits: tracker.confirm_hits,
});

const recordConfig = (id: string, record: ConfigFile['defaults']['record']): RecordConfig => ({
  enabled: record.enabled,
  folder: record.folder.replaceAll('{stream}', id),
  segmentMs: record.segment,
  maxBytes: record.max_size,
  keepMs: record.keep,
  sidecar: record.sidecar,
  output: record.output,
});

/** Without the keys that the file leaves out. */
function defined<T extends object>(section: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(section).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: NonNullable<T[K]> };
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
}
