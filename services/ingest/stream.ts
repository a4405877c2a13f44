import type { DropReason } from '../../lib/counters.js';
import { FramebusError, isErrorCode, toFramebusError } from '../../lib/errors.js';
import { redactUrl, type Log } from '../../lib/log.js';
import type {
  BusServer,
  FrameFormat,
  HeldFrame,
  Source,
  SourceEvent,
  SourceOptions,
} from '../../native/contract.js';
import { groupHold, SINK_GROUP } from '../../lib/bus/route.js';
import type { Taps } from '../../lib/bus/taps.js';
import { StreamState } from '#proto/framebus/status/v1/status.js';
import { Backoff } from './backoff.js';
import { describeFrame } from '../../lib/bus/descriptor.js';
import { Dispatcher, type DispatcherOptions, type FramePublisher, type LiveDispatch } from '../../lib/bus/dispatcher.js';

type EpochEvent = Extract<SourceEvent, { type: 'epoch' }>;
type FrameEvent = Extract<SourceEvent, { type: 'frame' }>;

/** How often frames that wait are looked at between two frames of the source. */
const TICK_MS = { latest: 20, lossless: 4 } as const;

export interface StreamOptions {
  source: SourceOptions;
  /** To begin with. */
  dispatch: DispatcherOptions;
  reconnect: { initialMs: number; maxMs: number };
}

/** What a stream needs from the machine and the rest of ingest. */
export interface StreamParts {
  /** Name of the producer, for descriptors. */
  producer: string;
  server: BusServer;
  createSource: (
    server: BusServer,
    options: SourceOptions,
    listener: (event: SourceEvent) => void,
  ) => Source;
  publisher: FramePublisher;
  /** Consumers outside of framebus; the stream closes them. */
  taps: Taps;
  /** A frame was decoded; `reason` when it was dropped before anybody could see it. */
  onDecoded(reason: DropReason | null): void;
  onStateChange(stream: Stream): void;
  log: Log;
}

/** One camera or file: a retry loop around a native source, and its dispatcher. */
export class Stream {
  readonly #options: StreamOptions;
  readonly #parts: StreamParts;
  readonly #backoff: Backoff;
  #dispatch: DispatcherOptions;
  #state = StreamState.STREAM_STATE_CONNECTING;
  #error: FramebusError | null = null;
  #format: FrameFormat | null = null;
  #source: Source | null = null;
  #epoch: EpochEvent | null = null;
  #dispatcher: Dispatcher | null = null;
  /** Frames that were dropped since the last one that got a slot. */
  #missing = 0;
  #ending = false;
  #closed = false;
  #ticker: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  /** Sources that are being closed; `close` waits for them. */
  readonly #closing = new Set<Promise<void>>();

  constructor(options: StreamOptions, parts: StreamParts) {
    this.#options = options;
    this.#parts = parts;
    this.#dispatch = options.dispatch;
    this.#backoff = new Backoff(options.reconnect.initialMs, options.reconnect.maxMs);
  }

  get id(): string {
    return this.#options.source.streamId;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Why the stream is in this state; null when all is well. */
  get error(): FramebusError | null {
    return this.#error;
  }

  /** Format of the newest epoch; null before the first frame. */
  get format(): FrameFormat | null {
    return this.#format;
  }

  start(): void {
    this.#ticker = setInterval(() => this.#tick(), TICK_MS[this.#options.source.mode]);
    this.#parts.taps.listen();
    this.#open();
  }

  /** From the next frame on, and after the source was lost and found again. */
  configure(dispatch: LiveDispatch): void {
    this.#dispatch = { ...this.#dispatch, ...dispatch };
    this.#dispatcher?.configure(dispatch);
  }

  /** A consumer of the infer group is gone; it had these frames, of any stream. */
  lost(held: HeldFrame[]): void {
    this.#dispatcher?.lost(held.map((f) => [f.epoch, f.slot, f.generation]));
  }

  /** Messages on their way may be lost: what is lossless is sent once more. */
  resend(): void {
    if (this.#options.source.mode === 'lossless') this.#dispatcher?.resend();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#ticker !== null) clearInterval(this.#ticker);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#dispatcher?.flush('the stream was closed');
    this.#parts.taps.close();
    this.#release();
    await Promise.all(this.#closing);
  }

  #open(): void {
    const { server, publisher, createSource } = this.#parts;
    try {
      const source = createSource(server, this.#options.source, (event) => {
        // Events of a source that is being closed come too late to matter.
        if (this.#source === source) this.#handle(event);
      });
      this.#source = source;
      this.#ending = false;
      this.#missing = 0;
      this.#dispatcher = new Dispatcher(this.#dispatch, source, publisher, () =>
        performance.now(),
      );
      this.#parts.taps.use(source);
      source.start();
    } catch (error) {
      this.#fail(toFramebusError(error));
    }
  }

  #handle(event: SourceEvent): void {
    switch (event.type) {
      case 'epoch':
        this.#onEpoch(event);
        break;
      case 'frame':
        this.#onFrame(event);
        break;
      case 'drop':
        this.#missing++;
        this.#parts.onDecoded(event.reason);
        break;
      case 'warning':
        this.#parts.log.warn({ stream: this.id, code: event.code }, event.message);
        break;
      case 'end':
        this.#ending = true;
        break;
      case 'error': {
        const code = isErrorCode(event.code) ? event.code : 'SOURCE_FAILED';
        const error = new FramebusError(code, event.message);
        if (event.retryable) this.#reconnect(error);
        else this.#fail(error);
      }
    }
  }

  #onEpoch(event: EpochEvent): void {
    this.#epoch = event;
    this.#parts.taps.onEpoch({ uuid: event.epoch, createdUnixNs: event.createdUnixNs });
    this.#format = event.format;
    this.#backoff.reset();
    const { width, height, pixelFormat } = event.format;
    this.#parts.log.info(
      { stream: this.id, width, height, pixelFormat, slots: event.slots, decoder: event.decoder },
      'new epoch',
    );
    this.#enter(StreamState.STREAM_STATE_PLAYING, null);
  }

  #onFrame(event: FrameEvent): void {
    if (this.#epoch === null) throw new Error(`stream ${this.id}: a frame came before its epoch`);
    this.#parts.onDecoded(null);
    const frame = describeFrame(this.id, this.#parts.producer, this.#epoch, event, this.#missing);
    this.#dispatcher?.dispatch(frame);
    this.#parts.taps.dispatch(frame);
    if (this.#parts.taps.pauses) this.#dispatcher?.limitSink(groupHold(this.#options.source.groups, SINK_GROUP));
    this.#missing = 0;
  }

  #tick(): void {
    this.#dispatcher?.tick();
    if (!this.#ending || this.#dispatcher === null || this.#dispatcher.pending() > 0) return;
    if (this.#parts.taps.pending() > 0) return;
    this.#release();
    this.#enter(StreamState.STREAM_STATE_ENDED, null);
  }

  #reconnect(error: FramebusError): void {
    this.#dispatcher?.flush('the source was lost');
    this.#release();
    const waitMs = this.#backoff.next();
    this.#parts.log.warn({ stream: this.id, code: error.code, waitMs }, error.message);
    this.#enter(StreamState.STREAM_STATE_RECONNECTING, error);
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#open(), waitMs);
  }

  #fail(error: FramebusError): void {
    this.#dispatcher?.flush('the source failed');
    this.#release();
    this.#parts.log.error({ stream: this.id, code: error.code, remedy: error.remedy }, error.message);
    this.#enter(StreamState.STREAM_STATE_FAILED, error);
  }

  /** Closes the source; its pools live on until their last lease has ended. */
  #release(): void {
    const source = this.#source;
    this.#source = null;
    this.#dispatcher = null;
    this.#epoch = null;
    this.#parts.taps.use(null);
    if (source === null) return;
    const closing = source.close().catch((error: unknown) => {
      this.#parts.log.error({ stream: this.id, err: error }, 'closing the source failed');
    });
    this.#closing.add(closing);
    void closing.finally(() => this.#closing.delete(closing));
  }

  #enter(state: StreamState, error: FramebusError | null): void {
    this.#error = error;
    if (this.#state === state) return;
    this.#state = state;
    const name = StreamState[state].replace('STREAM_STATE_', '').toLowerCase();
    this.#parts.log.info({ stream: this.id, source: redactUrl(this.#options.source.uri) }, name);
    this.#parts.onStateChange(this);
  }
}
