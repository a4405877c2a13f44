import { codeOf, messageOf } from '../../lib/errors.js';
import type {
  Addon,
  EncodeOptions,
  FrameFormat,
  FrameLease,
  Output,
  OutputEvent,
  OutputOptions,
  Overlay,
  RtspServer,
  Viewer,
  ViewerEvent,
} from '../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { OutputRecorder } from './recording/output_recorder.js';
import type { OutputRecording } from './recording/stream_recording.js';

/** A frame on its way into the encoder. */
export interface Picture {
  lease: FrameLease;
  record: DetectionRecord;
  overlay: Overlay;
  decodedMonotonicNs: bigint;
}

export interface StreamOutputListener {
  /** A picture has gone out to all viewers; there is room for another one. */
  encoded(picture: EncodedPicture): void;
  /** A queued picture will not come out; there is room for another one. */
  dropped(reason: 'stale' | 'encoder_failed'): void;
  /** The disk has caught up: there is room for another one. */
  room(): void;
  /** There is no encoder now; it is made anew after a pause. */
  failed(code: string, message: string): void;
  /** The pictures come out of another output now; null: there is none. */
  replaced(output: Output | null): void;
}

/** What differs in an output beside the annotated one. */
export interface FurtherPictures {
  /** Pixels, even; null: the frames' own size. */
  width: number | null;
  /** Live: one that is too slow keeps no frames that the others need. */
  yielding: boolean;
}

export interface EncodedPicture {
  /** From the decoder to all viewers, in milliseconds. */
  latencyMs: number;
  keyframe: boolean;
  bytes: number;
}

export interface Snapshot {
  jpeg: Uint8Array;
  record: DetectionRecord;
}

/** What is known of a picture while the encoder, or the snapshot, has it. */
interface Sent {
  record: DetectionRecord;
  decodedMonotonicNs: bigint;
}

interface Encoder {
  output: Output;
  format: FrameFormat;
  /** In the encoder now, by number. */
  pending: Map<bigint, Sent>;
  /** null: not recorded. */
  recording: OutputRecording | null;
}

/** Pictures that may wait in the encoder's queue; each one holds a slot until it is copied. */
const ENCODER_QUEUE = 4;
/** Sent pictures whose record is kept for snapshots. */
const REMEMBERED = 32;
/** How often a recording that is behind is looked at. */
const ROOM_MS = 20;
/** Pause after an encoder has failed. */
const RETRY_MS = 1000;

const sameFormat = (a: FrameFormat, b: FrameFormat): boolean =>
  (Object.keys(a) as (keyof FrameFormat)[]).every((key) => a[key] === b[key]);

/**
 * One encoded picture stream of a stream: RTSP mount, page viewers and
 * snapshots hang on it. Another frame format means another encoder under the
 * same mount; viewers of the old one are ended and come back.
 */
export class StreamOutput {
  /** Its path below the RTSP server: the stream, or the stream and the output. */
  readonly #mount: string;
  readonly #encode: EncodeOptions;
  readonly #addon: Pick<Addon, 'createOutput'>;
  readonly #rtsp: Pick<RtspServer, 'mount' | 'unmount'>;
  readonly #listener: StreamOutputListener;
  readonly #nowMs: () => number;
  readonly #recording: OutputRecorder | null;
  readonly #further: Required<Pick<OutputOptions, 'width' | 'yielding'>>;
  /** Records of the latest pictures, by number, oldest first. */
  readonly #records = new Map<bigint, DetectionRecord>();
  readonly #closing = new Set<Promise<void>>();
  #encoder: Encoder | null = null;
  #retryAtMs = 0;
  #roomTimer: NodeJS.Timeout | null = null;
  /** Number of the next picture; a frame's own `seq` may come again after a restart. */
  #next = 0n;
  #closed = false;

  constructor(
    mount: string,
    encode: EncodeOptions,
    addon: Pick<Addon, 'createOutput'>,
    rtsp: Pick<RtspServer, 'mount' | 'unmount'>,
    listener: StreamOutputListener,
    nowMs: () => number,
    recording: OutputRecorder | null = null,
    further: FurtherPictures | null = null,
  ) {
    this.#mount = mount;
    this.#encode = encode;
    this.#addon = addon;
    this.#rtsp = rtsp;
    this.#listener = listener;
    this.#nowMs = nowMs;
    this.#recording = recording;
    this.#further = { width: further?.width ?? 0, yielding: further?.yielding ?? false };
  }

  /** Pictures in the encoder now. */
  get pending(): number {
    return this.#encoder?.pending.size ?? 0;
  }

  /** Queues a picture. The lease stays the caller's to release. failed: no encoder now. */
  push(picture: Picture): 'queued' | 'full' | 'failed' {
    const encoder = this.#encoderFor(picture.lease.format);
    if (encoder === null) return 'failed';
    if (encoder.recording?.hasRoom() === false) {
      this.#awaitRoom();
      return 'full';
    }
    const { lease, record, overlay, decodedMonotonicNs } = picture;
    try {
      encoder.recording?.expect(this.#next, record);
      if (encoder.output.push(lease.id, this.#next, record.ptsNs, overlay) === 'full') return 'full';
    } catch (error) {
      this.#fail(encoder, codeOf(error), messageOf(error));
      return 'failed';
    }
    encoder.pending.set(this.#next, { record, decodedMonotonicNs });
    this.#next += 1n;
    return 'queued';
  }

  /** JPEG of the latest drawn picture; null before the first one. */
  async snapshot(quality: number): Promise<Snapshot | null> {
    const taken = await this.#encoder?.output.snapshot(quality);
    if (!taken) return null;
    const record = this.#recordOf(taken.seq);
    return record ? { jpeg: taken.jpeg, record } : null;
  }

  /** JPEG of the next picture, without the drawing but concealed; null when none comes in time. */
  async cleanSnapshot(quality: number, timeoutMs: number): Promise<Snapshot | null> {
    const untilMs = this.#nowMs() + timeoutMs;
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = untilMs - this.#nowMs()) {
      const encoder = this.#encoder;
      if (encoder === null) return null;
      const taken = await encoder.output.captureNext({ quality, drawn: false, timeoutMs: Math.ceil(leftMs) });
      // One that was dropped, or not let in: then the one after it.
      const record = taken && this.#recordOf(taken.seq);
      if (taken && record) return { jpeg: taken.jpeg, record };
    }
    return null;
  }

  /** A viewer of the pictures; null when there are none yet. */
  openViewer(listener: (event: ViewerEvent) => void): Viewer | null {
    return this.#encoder?.output.openViewer(listener) ?? null;
  }

  /** Ends the mount and all viewers; what is in the encoder still comes out. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#roomTimer) clearTimeout(this.#roomTimer);
    this.#retire();
    await Promise.all(this.#closing);
  }

  #encoderFor(format: FrameFormat): Encoder | null {
    if (this.#encoder && sameFormat(this.#encoder.format, format)) return this.#encoder;
    if (this.#closed || this.#nowMs() < this.#retryAtMs) return null;
    this.#retire();
    try {
      this.#encoder = this.#create(format);
    } catch (error) {
      this.#fail(null, codeOf(error), messageOf(error));
    }
    return this.#encoder;
  }

  #create(format: FrameFormat): Encoder {
    const pending = new Map<bigint, Sent>();
    const output = this.#addon.createOutput(
      {
        streamId: this.#mount,
        format,
        encode: this.#encode,
        queue: ENCODER_QUEUE,
        ...this.#further,
      },
      (event) => {
        this.#hear(encoder, event);
      },
    );
    const encoder: Encoder = { output, format, pending, recording: this.#recording?.attach(output) ?? null };
    try {
      this.#rtsp.mount(this.#mount, output);
    } catch (error) {
      this.#finish(encoder);
      throw error;
    }
    this.#listener.replaced(output);
    return encoder;
  }

  #hear(encoder: Encoder, event: OutputEvent): void {
    if (event.type === 'error') {
      this.#fail(encoder, event.code, event.message);
      return;
    }
    const sent = encoder.pending.get(event.seq);
    if (!sent) return;
    encoder.pending.delete(event.seq);
    if (event.type === 'dropped') {
      this.#listener.dropped(event.reason === 'stale' ? 'stale' : 'encoder_failed');
      return;
    }
    this.#remember(event.seq, sent.record);
    this.#listener.encoded({
      latencyMs: Number(event.monotonicNs - sent.decodedMonotonicNs) / 1e6,
      keyframe: event.keyframe,
      bytes: event.bytes,
    });
  }

  #awaitRoom(): void {
    this.#roomTimer ??= setTimeout(() => {
      this.#roomTimer = null;
      this.#listener.room();
    }, ROOM_MS);
  }

  /** The encoder, if there was one, is of no use any more. */
  #fail(encoder: Encoder | null, code: string | undefined, message: string): void {
    this.#retryAtMs = this.#nowMs() + RETRY_MS;
    this.#listener.failed(code ?? 'OUTPUT_FAILED', message);
    if (encoder !== null && encoder === this.#encoder) this.#retire();
  }

  #recordOf(number: bigint): DetectionRecord | undefined {
    return this.#records.get(number) ?? this.#encoder?.pending.get(number)?.record;
  }

  #remember(number: bigint, record: DetectionRecord): void {
    this.#records.set(number, record);
    this.#records.delete(number - BigInt(REMEMBERED));
  }

  /** Takes the encoder out of service; its last pictures come out while it closes. */
  #retire(): void {
    const encoder = this.#encoder;
    if (!encoder) return;
    this.#encoder = null;
    this.#rtsp.unmount(this.#mount);
    this.#listener.replaced(null);
    this.#finish(encoder);
  }

  #finish(encoder: Encoder): void {
    const closing = encoder.output
      .close()
      .catch((error: unknown) => {
        this.#fail(null, codeOf(error), messageOf(error));
      })
      .then(() => encoder.recording?.close())
      .finally(() => {
        this.#closing.delete(closing);
        for (const number of encoder.pending.keys()) {
          encoder.pending.delete(number);
          this.#listener.dropped('encoder_failed');
        }
      });
    this.#closing.add(closing);
  }
}
