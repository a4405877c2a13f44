import type { FrameLease, LeaseRefusal, Viewer, ViewerEvent } from '../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { detectionRecord } from './record.js';
import { ReorderWindow, type Position } from './reorder.js';
import type { StreamDrawing } from './stream_drawing.js';
import type { StreamTracking } from './stream_tracking.js';
import type { EncodedPicture, Picture, Snapshot } from './stream_output.js';

/**
 * The frame of a lossless stream, to be leased when its turn comes: its delivery protects
 * it until then, and frames that wait must not use up the holds that the frame which they
 * wait for needs.
 */
export class LaterLease {
  readonly #lease: () => FrameLease | LeaseRefusal;

  constructor(lease: () => FrameLease | LeaseRefusal) {
    this.#lease = lease;
  }

  /** The lease; null when the frame has gone; quota: ask again when a frame was released. */
  take(): FrameLease | 'quota' | null {
    const lease = this.#lease();
    if (lease === 'quota') return lease;
    return typeof lease === 'string' ? null : lease;
  }
}

/** A result as it came, with its frame if that could be leased. */
export interface Received {
  result: ResultMessage;
  frame: FrameDescriptor;
  lease: FrameLease | LaterLease | null;
}

/** lossless: a picture that waits for room in the encoder. */
type WaitingPicture = Omit<Picture, 'lease'> & { lease: FrameLease | LaterLease };

const release = (lease: FrameLease | LaterLease | null): void => {
  if (lease !== null && !(lease instanceof LaterLease)) lease.release();
};

/** Why a received frame was not encoded. */
export type SinkDrop = 'late' | 'duplicate' | 'stale' | 'encoder_full' | 'encoder_failed';

/** Where a stream's numbers go. Every received frame ends as encoded or as one drop. */
export interface StreamBooks {
  received(result: ResultMessage, frame: FrameDescriptor): void;
  encoded(picture: EncodedPicture): void;
  dropped(reason: SinkDrop): void;
}

/** Which picture of a stream is wanted. */
export interface SnapshotOptions {
  /** JPEG's, 1 to 100. */
  quality: number;
  /** '': the annotated one. */
  output: string;
  /** Without the drawing, but concealed. */
  clean: boolean;
}

/** The pictures' way out, see StreamOutputs. */
export interface PictureOutput {
  push(picture: Picture): 'queued' | 'full' | 'failed';
  /** The picture of a record comes no more. True when the annotated output has it already. */
  abandon(record: DetectionRecord, reason: 'stale' | 'encoder_full'): boolean;
  snapshot(options: SnapshotOptions): Promise<Snapshot | null>;
  openViewer(listener: (event: ViewerEvent) => void, output: string): Viewer | null;
  close(): Promise<void>;
}

export interface StreamOptions {
  /** Frames that may wait for an earlier one. */
  windowFrames: number;
  /** Longest time that a frame waits for an earlier one. */
  deadlineMs: number;
}

export interface StreamClock {
  monotonicNs(): bigint;
  nowMs(): number;
  /** The wall clock, to the millisecond. */
  unixNs(): bigint;
}

/** Longest wait for the encoder at the end; a service has 4 s for everything. */
const DRAIN_MS = 2000;

/** One stream in the sink: order restored, recorded, drawn and encoded. */
export class Stream {
  readonly #options: StreamOptions;
  readonly #books: StreamBooks;
  readonly #output: PictureOutput;
  readonly #publish: (record: DetectionRecord) => void;
  readonly #clock: StreamClock;
  readonly #tracking: Pick<StreamTracking, 'next'> | null;
  readonly #window: ReorderWindow<Received & { receivedNs: bigint }>;
  readonly #drawing: Pick<StreamDrawing, 'next'>;
  /** lossless: pictures that wait for room in the encoder, in order; bounded by the pool. */
  readonly #waiting: WaitingPicture[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** Called when `#waiting` has become empty. */
  #emptied: (() => void) | null = null;
  #closed = false;

  constructor(
    options: StreamOptions,
    books: StreamBooks,
    output: PictureOutput,
    publish: (record: DetectionRecord) => void,
    clock: StreamClock,
    tracking: Pick<StreamTracking, 'next'> | null,
    drawing: Pick<StreamDrawing, 'next'>,
  ) {
    this.#options = options;
    this.#books = books;
    this.#output = output;
    this.#publish = publish;
    this.#clock = clock;
    this.#tracking = tracking;
    this.#drawing = drawing;
    this.#window = new ReorderWindow<Received & { receivedNs: bigint }>(
      {
        size: options.windowFrames,
        deadlineMs: options.deadlineMs,
        emit: (received) => {
          this.#deliver(received);
        },
      },
      () => clock.nowMs(),
    );
  }

  /** Takes a result in; the lease is the stream's from now on. */
  receive(received: Received): void {
    this.#books.received(received.result, received.frame);
    const outcome = this.#window.push(positionOf(received.frame), { ...received, receivedNs: this.#clock.monotonicNs() });
    if (outcome !== 'accepted') {
      release(received.lease);
      this.#books.dropped(outcome);
    }
    this.#schedule();
  }

  /** The encoder has room: pictures that waited go on. */
  resume(): void {
    for (let picture = this.#waiting[0]; picture; picture = this.#waiting[0]) {
      const lease = picture.lease instanceof LaterLease ? picture.lease.take() : picture.lease;
      if (lease === 'quota') return;
      if (lease !== null) picture.lease = lease;
      const outcome = lease?.valid() === true ? this.#output.push({ ...picture, lease }) : 'stale';
      if (outcome === 'full') return;
      this.#waiting.shift();
      lease?.release();
      if (outcome === 'stale') this.#lose(picture.record, 'stale');
      if (outcome === 'failed') this.#books.dropped('encoder_failed');
    }
    this.#emptied?.();
  }

  /** The latest picture of an output as a JPEG, or its next clean one; null when there is none. */
  snapshot(options: SnapshotOptions): Promise<Snapshot | null> {
    return this.#output.snapshot(options);
  }

  /** The pictures of an output as fragmented MP4; null before the first one. '': the annotated output. */
  openViewer(listener: (event: ViewerEvent) => void, output = ''): Viewer | null {
    return this.#output.openViewer(listener, output);
  }

  /** Sends out what is in the window, then ends the output. Idempotent. */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#window.flush();
      this.#schedule();
      await this.#drain();
    }
    await this.#output.close();
    for (const picture of this.#waiting.splice(0)) {
      release(picture.lease);
      this.#lose(picture.record, 'encoder_full');
    }
  }

  /** Lets the pictures that wait for the encoder go on, for a while. */
  async #drain(): Promise<void> {
    if (this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS);
      this.#emptied = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const deadlineMs = this.#window.nextDeadlineMs();
    if (deadlineMs === null) return;
    this.#timer = setTimeout(
      () => {
        this.#window.tick();
        this.#schedule();
      },
      Math.max(1, deadlineMs - this.#clock.nowMs()),
    );
  }

  #deliver({ result, frame, lease, receivedNs }: Received & { receivedNs: bigint }): void {
    const orderedNs = this.#clock.monotonicNs();
    const tracked = this.#tracking?.next(result, frame) ?? { detections: result.detections, endedTrackIds: [] };
    const times = { receivedNs, orderedNs, recordedNs: this.#clock.monotonicNs(), recordedUnixNs: this.#clock.unixNs() };
    const record = detectionRecord(result, tracked, frame, times);
    this.#publish(record);
    const { decodedMonotonicNs } = frame;
    const overlay = this.#drawing.next(record, decodedMonotonicNs);
    if (lease instanceof LaterLease) {
      this.#waiting.push({ lease, record, overlay, decodedMonotonicNs });
      this.resume();
    } else if (lease?.valid() === true) {
      this.#draw({ lease, record, overlay, decodedMonotonicNs });
    } else {
      lease?.release();
      this.#lose(record, 'stale');
    }
  }

  #lose(record: DetectionRecord, reason: 'stale' | 'encoder_full'): void {
    if (!this.#output.abandon(record, reason)) this.#books.dropped(reason);
  }

  #draw(picture: Picture): void {
    const outcome = this.#output.push(picture);
    picture.lease.release();
    if (outcome === 'full') this.#books.dropped('encoder_full');
    if (outcome === 'failed') this.#books.dropped('encoder_failed');
  }
}

function positionOf(frame: FrameDescriptor): Position {
  const { epoch, seq, missingBefore } = frame;
  return { epochCreatedNs: epoch?.createdUnixNs ?? 0n, seq, missingBefore };
}
