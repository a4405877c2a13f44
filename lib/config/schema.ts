import { z } from 'zod';
import { eventsDefaults, eventsOfStream } from './events.js';
import { byteSize, decimal, duration, endpoint, folderBelow, host, integer, name, port, section, show, text } from './fields.js';
import { osdDefaults, osdOfStream } from './osd.js';
import { outputs } from './outputs.js';
import { sourceProblem } from './source_uri.js';
import { tiles } from './tiles.js';

const SECOND = 1_000;
const HOUR = 3_600_000;
const X264_PRESETS = ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower', 'veryslow'] as const;

const id = integer(0, 4_294_967_294);

const log = {
  level: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  format: z.enum(['auto', 'text', 'json']).default('auto'),
};

const bus = {
  directory: text.nullable().default(null),
  allow_uids: z.array(id).default([]),
  allow_gids: z.array(id).default([]),
  token_file: text.nullable().default(null),
  lease_deadline: duration(0, HOUR).default(10 * SECOND),
};

const NATS_SERVER = /^(nats|tls):\/\/[^\s,]+$/;

/** Where NATS is; also the form of NATS_URL. */
export const natsUrl = z.string().refine(
  (value) => value === 'embedded' || value.split(',').every((url) => NATS_SERVER.test(url.trim())),
  {
    error: (issue) =>
      `must be "embedded" or one or more nats://host:port or tls://host:port, separated by commas, is ${show(issue.input)}`,
  },
);

const ingest = {
  name: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/, {
      error: (issue) => `must be 1 to 64 of a-z 0-9 -, because it names a socket, is ${show(issue.input)}`,
    })
    .default('ingest-0'),
  http: section(endpoint(9101)),
  grpc: section(endpoint(50_053)),
  delivery_ttl: duration(10, 60 * SECOND).default(2 * SECOND),
  in_flight: integer(1, 64).default(2),
  decoder_threads: integer(0, 64).default(0),
};

const ENGINES = ['auto', 'onnxruntime', 'tensorrt'];

const engine = text
  .refine((value) => ENGINES.includes(value) || value.endsWith('.so'), {
    error: (issue) => `must be auto, onnxruntime, tensorrt, or the path of a plugin (.so), is ${show(issue.input)}`,
  })
  .default('auto');

const infer = {
  name: name.default('infer-0'),
  http: section(endpoint(9102)),
  grpc: section(endpoint(50_052)),
  engine,
  batch: section({
    size: integer(1, 256).default(4),
    max_age: duration(0, 10 * SECOND).default(10),
  }),
  executors: integer(1, 64).default(1),
  threads: integer(0, 256).default(0),
  max_held: integer(1, 1024).default(16),
};

/** A stream with all its outputs, or one of them. */
const mount = z.string().refine((value) => /^[A-Za-z0-9_-]{1,64}(\/[A-Za-z0-9_-]{1,64})?$/.test(value), {
  error: (issue) => `must be a stream such as gate, one of its outputs such as gate/clean, or "*", is ${show(issue.input)}`,
});

const rtspUser = z.strictObject({
  name: z.string().regex(/^[\w.@-]{1,64}$/, {
    error: (issue) => `must be 1 to 64 of A-Z a-z 0-9 _ . @ -, is ${show(issue.input)}`,
  }),
  password_file: text,
  mounts: z.array(z.literal('*').or(mount)).default(['*']),
});

const sink = {
  name: name.default('sink-0'),
  http: section(endpoint(8080)),
  grpc: section(endpoint(50_051)),
  rtsp: section({
    host: host.default('127.0.0.1'),
    port: port.default(8554),
    max_clients: integer(1, 10_000).default(64),
    transports: z.array(z.enum(['tcp', 'udp'])).refine((list) => list.length > 0, { error: 'must name tcp, udp or both' }).default(['tcp']),
    session_timeout: duration(5 * SECOND, HOUR).default(60 * SECOND),
    users: z.array(rtspUser).default([]),
    tls: section({
      cert_file: text.nullable().default(null),
      key_file: text.nullable().default(null),
    }),
  }),
  reorder: section({
    window: integer(1, 1024).default(32),
    deadline: duration(1, 60 * SECOND).default(SECOND),
  }),
  encode: section({
    codec: z.enum(['h264', 'h265']).default('h264'),
    encoder: z.enum(['auto', 'x264', 'openh264', 'x265', 'nvenc', 'jetson']).default('auto'),
    rate_control: z.enum(['cbr', 'vbr', 'quality']).default('cbr'),
    bitrate_kbps: integer(50, 200_000).default(4000),
    max_bitrate_kbps: integer(50, 400_000).nullable().default(null),
    quality: integer(0, 51).nullable().default(null),
    preset: z.enum(X264_PRESETS).default('veryfast'),
    keyframe_interval: duration(100, 60 * SECOND).default(2 * SECOND),
    threads: integer(0, 64).default(0),
  }),
  records: section({
    max_age: duration(0, 3650 * 24 * HOUR)
      .refine((ms) => ms === 0 || ms >= SECOND, { error: 'must be 0, or 1s or longer' })
      .default(24 * HOUR),
    max_bytes: byteSize(2 ** 20, 2 ** 50).default(2 ** 30),
  }),
  recordings: section({
    root: text.default('recordings'),
    min_free: byteSize(2 ** 20, 2 ** 50).default(5 * 2 ** 30),
  }),
  tiles,
  max_held: integer(1, 1024).nullable().default(null),
};

const models = {
  directory: text.nullable().default(null),
  cache: text.nullable().default(null),
  watch: z.boolean().default(true),
};

/** Fractions of the frame; see RegionOfInterest of proto/. */
const region = z
  .strictObject({ x: decimal(0, 1), y: decimal(0, 1), width: decimal(0, 1), height: decimal(0, 1) })
  .refine(({ x, y, width, height }) => width > 0 && height > 0 && x + width <= 1.000_001 && y + height <= 1.000_001, {
    error: (issue) => `must lie within the frame, x + width and y + height at most 1, width and height above 0, is ${show(issue.input)}`,
  });

const secondary = z.strictObject({
  model: name,
  labels: z.array(text).default([]),
  min_size: integer(1, 16_384).default(16),
  interval: integer(0, 10_000).default(0),
});

/** What `defaults` sets for all streams, and every stream may set for itself. */
const perStream = {
  model: name.nullable(),
  mode: z.enum(['latest', 'lossless']),
  interval: integer(0, 10_000),
  labels: z.array(text),
  min_confidence: decimal(0, 1).nullable(),
  thresholds: z.record(text, decimal(0, 1)),
  region: region.nullable(),
  secondary: z.array(secondary),
  outputs,
  memory: z.enum(['auto', 'shm', 'cuda', 'cuda-ipc', 'dmabuf']),
  slots: integer(2, 256),
  transport: z.enum(['tcp', 'udp']),
  no_frame_timeout: duration(0, HOUR),
};

/** What of it can be changed while the stream runs; see lib/stream_settings.ts. */
export const liveStream = {
  model: perStream.model,
  interval: perStream.interval,
  labels: perStream.labels,
  min_confidence: perStream.min_confidence,
  thresholds: perStream.thresholds,
  region: perStream.region,
};

const tracker = {
  kind: z.enum(['byte', 'oc_sort', 'none']),
  high_confidence: decimal(0, 1),
  low_confidence: decimal(0, 1),
  new_confidence: decimal(0, 1).nullable(),
  min_overlap: decimal(0, 1).nullable(),
  inertia: decimal(0, 1),
  lost: duration(0, HOUR),
  confirm_hits: integer(1, 100),
};

const record = {
  enabled: z.boolean(),
  folder: folderBelow,
  segment: duration(SECOND, 24 * HOUR),
  max_size: byteSize(2 ** 20, 2 ** 40),
  keep: duration(0, 3650 * 24 * HOUR),
  sidecar: z.boolean(),
  output: name.nullable(),
};

const reconnectInitial = duration(10, HOUR);
const reconnectMax = duration(10, 24 * HOUR);

const defaults = {
  model: perStream.model.default('ssdlite-mobilenet-v2'),
  mode: perStream.mode.default('latest'),
  interval: perStream.interval.default(0),
  labels: perStream.labels.default([]),
  min_confidence: perStream.min_confidence.default(null),
  thresholds: perStream.thresholds.default({}),
  region: perStream.region.default(null),
  secondary: perStream.secondary.default([]),
  outputs: perStream.outputs.default([]),
  memory: perStream.memory.default('auto'),
  slots: perStream.slots.default(16),
  transport: perStream.transport.default('tcp'),
  no_frame_timeout: perStream.no_frame_timeout.default(10 * SECOND),
  tracker: section({
    kind: tracker.kind.default('byte'),
    high_confidence: tracker.high_confidence.default(0.6),
    low_confidence: tracker.low_confidence.default(0.1),
    new_confidence: tracker.new_confidence.default(null),
    min_overlap: tracker.min_overlap.default(null),
    inertia: tracker.inertia.default(0.2),
    lost: tracker.lost.default(2 * SECOND),
    confirm_hits: tracker.confirm_hits.default(3),
  }),
  osd: osdDefaults,
  record: section({
    enabled: record.enabled.default(false),
    folder: record.folder.default('{stream}'),
    segment: record.segment.default(HOUR / 6),
    max_size: record.max_size.default(2 ** 31),
    keep: record.keep.default(24 * HOUR),
    sidecar: record.sidecar.default(true),
    output: record.output.default(null),
  }),
  events: eventsDefaults,
  reconnect: section({
    initial: reconnectInitial.default(SECOND),
    max: reconnectMax.default(30 * SECOND),
  }),
};

const source = z.string().check((context) => {
  const problem = sourceProblem(context.value);
  if (problem !== null) context.issues.push({ code: 'custom', message: problem, input: context.value });
});

const stream = {
  source,
  loop: z.boolean().default(false),
  pace: z.enum(['realtime', 'fast']).default('realtime'),
  model: perStream.model.optional(),
  mode: perStream.mode.optional(),
  interval: perStream.interval.optional(),
  labels: perStream.labels.optional(),
  min_confidence: perStream.min_confidence.optional(),
  thresholds: perStream.thresholds.optional(),
  region: perStream.region.optional(),
  secondary: perStream.secondary.optional(),
  outputs: perStream.outputs.optional(),
  memory: perStream.memory.optional(),
  slots: perStream.slots.optional(),
  transport: perStream.transport.optional(),
  no_frame_timeout: perStream.no_frame_timeout.optional(),
  tracker: section({
    kind: tracker.kind.optional(),
    high_confidence: tracker.high_confidence.optional(),
    low_confidence: tracker.low_confidence.optional(),
    new_confidence: tracker.new_confidence.optional(),
    min_overlap: tracker.min_overlap.optional(),
    inertia: tracker.inertia.optional(),
    lost: tracker.lost.optional(),
    confirm_hits: tracker.confirm_hits.optional(),
  }),
  osd: osdOfStream,
  record: section({
    enabled: record.enabled.optional(),
    folder: record.folder.optional(),
    segment: record.segment.optional(),
    max_size: record.max_size.optional(),
    keep: record.keep.optional(),
    sidecar: record.sidecar.optional(),
    output: record.output.optional(),
  }),
  events: eventsOfStream,
  reconnect: section({
    initial: reconnectInitial.optional(),
    max: reconnectMax.optional(),
  }),
};

/** The configuration file, as people write it. Defaults stand here and nowhere else. */
export const schema = z.strictObject({
  log: section(log),
  bus: section(bus),
  nats: section({ url: natsUrl.default('nats://127.0.0.1:4222') }),
  ingest: section(ingest),
  infer: section(infer),
  sink: section(sink),
  models: section(models),
  defaults: section(defaults),
  streams: z.record(z.string(), section(stream)),
});

/** What the schema makes of a file: every key present, durations in milliseconds. */
export type ConfigFile = z.infer<typeof schema>;

/** Keys that a section knows, for suggestions; undefined when the path is not a section. */
export function knownKeys(path: readonly PropertyKey[]): string[] | undefined {
  let at: unknown = schema;
  for (const key of path) {
    at = isObject(at) ? at.shape[String(key)] : at instanceof z.ZodRecord ? at.valueType : undefined;
    if (at instanceof z.ZodPipe) at = at.out;
  }
  return isObject(at) ? Object.keys(at.shape) : undefined;
}

function isObject(schema: unknown): schema is z.ZodObject {
  return schema instanceof z.ZodObject;
}
