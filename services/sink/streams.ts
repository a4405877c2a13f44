import type { Addon, EncodeOptions, Output, RtspServer } from '../../native/contract.js';
import { groupHold, routeGroups, SINK_GROUP } from '../../lib/bus/route.js';
import { outputEncode } from '../../lib/config.js';
import type { OsdConfig, OutputConfig, ReorderConfig, StreamConfig, TrackerConfig } from '../../lib/config.js';
import type { Counters, StreamCounters } from '../../lib/counters.js';
import { FramebusError } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { Unversioned } from '../../lib/messages.js';
import type { TrackHints } from '#proto/framebus/track/v1/track_hints.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { LogLimit } from '../../lib/log_limit.js';
import type { OutputCounters } from './output_counters.js';
import { uninferredReason } from './record.js';
import { LaterLease, Stream, type Received, type StreamBooks, type StreamOptions } from './stream.js';
import { StreamDrawing } from './stream_drawing.js';
import { StreamTracking } from './stream_tracking.js';
import { StreamOutput, type FurtherPictures, type StreamOutputListener } from './stream_output.js';
import { StreamOutputs, type FurtherOutput } from './stream_outputs.js';
import { recordersTogether, type OutputRecorder } from './recording/output_recorder.js';

/** A lossless frame is waited for as long as a worker may need to be replaced. */
const LOSSLESS_DEADLINE_MS = 30_000;
/** More than any pool has slots, the decoder's included: its frames wait by their descriptors alone. */
const LOSSLESS_WINDOW = 1024;
/** Of the frames that sink may hold, those that the window leaves to the annotated output's queue. */
const SPARE_SLOTS = 2;
/** And to each further one: what it holds when it is too slow. */
const SPARE_SLOTS_FURTHER = 1;
/** Window of a stream that the configuration does not name: what a default pool allows. */
const UNNAMED_WINDOW = 8;

export interface StreamsOptions {
  reorder: ReorderConfig;
  encode: EncodeOptions;
  /** Frames of a stream that workers may hold at once. */
  inFlight: number;
  streams: readonly StreamConfig[];
  /** What is drawn on streams that nobody has configured. */
  osd: OsdConfig;
  /** And their further outputs. */
  outputs: readonly OutputConfig[];
}

export interface StreamsParts {
  addon: Pick<Addon, 'createOutput' | 'monotonicNs'>;
  rtsp: Pick<RtspServer, 'mount' | 'unmount'>;
  counters: Counters;
  outputCounters: Pick<OutputCounters, 'of'>;
  log: Log;
  /** Gets the records of all streams, in order per stream. */
  publish: (record: DetectionRecord) => void;
  /** How a stream is recorded; null: it is not. */
  recording: (streamId: string) => OutputRecorder | null;
  /** Records events of a stream, from its annotated pictures; null: it has none. */
  events: (streamId: string) => OutputRecorder | null;
  /** Hears whose pictures are whose; null: a stream without an output now. */
  shown: (streamId: string, output: Output | null) => void;
  /** Tells the workers what is known of a stream's objects. */
  tell: (hints: Unversioned<TrackHints>) => void;
}

/** How frames of a stream wait for each other. A live window must not eat the pool up. */
export function streamOptions(
  config: StreamConfig | undefined,
  reorder: ReorderConfig,
  inFlight: number,
): StreamOptions {
  if (config?.mode === 'lossless') {
    return {
      windowFrames: Math.max(reorder.window, LOSSLESS_WINDOW),
      deadlineMs: Math.max(reorder.deadlineMs, LOSSLESS_DEADLINE_MS),
    };
  }
  const free = config ? sinkHold(config, inFlight) - SPARE_SLOTS - SPARE_SLOTS_FURTHER * config.outputs.length : UNNAMED_WINDOW;
  return {
    windowFrames: Math.min(reorder.window, Math.max(2, free)),
    deadlineMs: reorder.deadlineMs,
  };
}

/** Frames of a stream that its route lets sink hold. */
function sinkHold({ slots, mode }: StreamConfig, inFlight: number): number {
  return groupHold(routeGroups({ slots, mode, inFlight }), SINK_GROUP);
}

/** Of streams that a program publishes under a name that nobody has configured. */
const DEFAULT_TRACKER: TrackerConfig = {
  ...{ kind: 'byte', highConfidence: 0.6, lowConfidence: 0.1, lostMs: 2_000, confirmHits: 3 },
  ...{ newConfidence: null, minOverlap: null, inertia: 0.2 },
};

/** The streams of the sink, each made when its first result comes. */
export class Streams {
  readonly #options: StreamsOptions;
  readonly #parts: StreamsParts;
  readonly #limit = new LogLimit();
  readonly #streams = new Map<string, Stream>();
  #closed = false;

  constructor(options: StreamsOptions, parts: StreamsParts) {
    this.#options = options;
    this.#parts = parts;
    for (const { id, outputs } of options.streams) {
      parts.counters.stream(id);
      for (const { name } of outputs) parts.outputCounters.of(id, name);
    }
  }

  /** Names of the streams that are configured or have been heard of. */
  names(): string[] {
    const names = new Set([...this.#options.streams.map((s) => s.id), ...this.#streams.keys()]);
    return [...names].sort();
  }

  /** Throws STREAM_NOT_FOUND, which names the streams that there are. */
  require(streamId: string): void {
    const names = this.names();
    if (names.includes(streamId)) return;
    const known = names.length === 0 ? 'there is none' : `known are ${names.join(', ')}`;
    throw new FramebusError('STREAM_NOT_FOUND', `stream "${streamId}": not found; ${known}`);
  }

  /** Names of the further outputs of a stream. */
  outputs(streamId: string): string[] {
    return this.#outputConfigs(streamId).map(({ name }) => name);
  }

  /** A stream that has had a frame, and that output. Throws STREAM_NOT_FOUND, OUTPUT_NOT_FOUND, STREAM_NO_PICTURE. */
  withPicture(streamId: string, output = ''): Stream {
    this.require(streamId);
    const outputs = this.outputs(streamId);
    if (output !== '' && !outputs.includes(output)) {
      const known = outputs.length === 0 ? 'it has none but the annotated one' : `it has ${outputs.join(', ')}`;
      throw new FramebusError('OUTPUT_NOT_FOUND', `stream "${streamId}": no output "${output}"; ${known}`);
    }
    const stream = this.#streams.get(streamId);
    if (stream) return stream;
    throw noPicture(streamId);
  }

  receive(received: Received): void {
    if (this.#closed) {
      if (!(received.lease instanceof LaterLease)) received.lease?.release();
      return;
    }
    const { streamId } = received.frame;
    let stream = this.#streams.get(streamId);
    if (!stream) {
      this.#parts.shown(streamId, null);
      stream = this.#create(streamId);
      this.#streams.set(streamId, stream);
    }
    stream.receive(received);
  }

  /** Sends out what waits and ends all outputs. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#streams.values()].map((stream) => stream.close()));
  }

  #create(streamId: string): Stream {
    const { reorder, encode, inFlight, streams, osd } = this.#options;
    const { addon, counters, publish } = this.#parts;
    const books = streamBooks(counters.stream(streamId));
    const nowMs = (): number => performance.now();
    const config = streams.find(({ id }) => id === streamId);
    const room = (): void => {
      stream.resume();
    };
    const annotated = this.#output(streamId, encode, books, room, config?.record.output === null);
    const output = new StreamOutputs(annotated, this.#further(streamId, config, room), config?.mode === 'lossless');
    const options = streamOptions(config, reorder, inFlight);
    const clock = { monotonicNs: () => addon.monotonicNs(), nowMs, unixNs: () => BigInt(Date.now()) * 1_000_000n };
    const stream = new Stream(options, books, output, publish, clock, this.#tracking(config), new StreamDrawing(config?.osd ?? osd));
    return stream;
  }

  #outputConfigs(streamId: string): readonly OutputConfig[] {
    return (this.#options.streams.find(({ id }) => id === streamId) ?? this.#options).outputs;
  }

  #further(streamId: string, config: StreamConfig | undefined, room: () => void): FurtherOutput[] {
    return this.#outputConfigs(streamId).map((one) => {
      const counter = this.#parts.outputCounters.of(streamId, one.name);
      const encode = outputEncode(this.#options.encode, one);
      const recorded = config?.record.output === one.name;
      const output = this.#output(streamId, encode, counter, room, recorded, { ...one, yielding: config?.mode !== 'lossless' });
      return { name: one.name, draw: one.draw, output, counter };
    });
  }

  /** `room`: called when there may be room for another picture. Without `further` it is the annotated one. */
  #output(
    streamId: string,
    encode: EncodeOptions,
    books: Pick<StreamOutputListener, 'encoded' | 'dropped'>,
    room: () => void,
    recorded: boolean,
    further: (Pick<OutputConfig, 'name'> & FurtherPictures) | null = null,
  ): StreamOutput {
    const { addon, rtsp } = this.#parts;
    const listener: StreamOutputListener = {
      encoded: (picture) => {
        books.encoded(picture);
        room();
      },
      dropped: (reason) => {
        books.dropped(reason);
        room();
      },
      room,
      failed: (code, message) => {
        this.#complain(streamId, further?.name ?? null, code, message);
      },
      replaced: (replacement) => {
        if (further === null) this.#parts.shown(streamId, replacement);
      },
    };
    const mount = further === null ? streamId : `${streamId}/${further.name}`;
    const recording = recorded ? this.#parts.recording(streamId) : null;
    const events = further === null ? this.#parts.events(streamId) : null;
    return new StreamOutput(mount, encode, addon, rtsp, listener, () => performance.now(), recordersTogether(recording, events), further);
  }

  /** null: objects are not followed. A stream that nobody has configured is followed as by default. */
  #tracking(config: StreamConfig | undefined): StreamTracking | null {
    const { kind, ...rest } = config?.tracker ?? DEFAULT_TRACKER;
    if (kind === 'none') return null;
    const told = config?.secondary.some(({ interval }) => interval > 0) === true;
    return new StreamTracking({ kind, ...rest }, Math.floor(Date.now() / 1000), told ? this.#parts.tell : null);
  }

  /** `output`: null is the annotated one. */
  #complain(stream: string, output: string | null, code: string, cause: string): void {
    const skipped = this.#limit.take(`${stream} ${output ?? ''} ${code}`);
    if (skipped === null) return;
    const where = output === null ? { stream } : { stream, output };
    this.#parts.log.error({ ...where, code, cause, skipped }, 'the encoder failed; it is made anew');
  }
}

export function noPicture(streamId: string, cause = 'no picture yet'): FramebusError {
  return new FramebusError('STREAM_NO_PICTURE', `stream "${streamId}": ${cause}`);
}

/** Writes a stream's numbers into the counters of the service. */
export function streamBooks(counters: StreamCounters): StreamBooks {
  return {
    received: (result, frame) => {
      counters.frameIn();
      const reason = uninferredReason(result.status);
      if (reason === null) counters.inferred();
      else counters.drop(reason);
      for (const { label } of result.detections) counters.detection(label);
      counters.setSize(frame.format?.width ?? 0, frame.format?.height ?? 0);
    },
    encoded: ({ latencyMs }) => {
      counters.frameOut();
      counters.took(latencyMs);
    },
    dropped: (reason) => {
      counters.drop(reason);
    },
  };
}
