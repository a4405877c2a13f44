import type { TilesConfig } from '../../lib/config.js';
import { codeOf, messageOf } from '../../lib/errors.js';
import type { Addon, FrameFormat, Output, RtspServer, Tiler, Viewer, ViewerEvent } from '../../native/contract.js';

/** A picture that is older is no picture of now. */
const STALE_MS = 3_000;
/** Pictures that may wait for the encoder. */
const ENCODER_QUEUE = 2;
/** Pause after an encoder has failed. */
const RETRY_MS = 1_000;
/** From here on players take pictures for HD ones, whose colours are coded in another way. */
const HD_HEIGHT = 720;

export interface TiledOutputParts {
  addon: Pick<Addon, 'createOutput' | 'createTiler'>;
  rtsp: Pick<RtspServer, 'mount' | 'unmount'>;
  /** There is no encoder now; it is made anew after a pause. */
  failed: (code: string, message: string) => void;
}

interface Encoder {
  output: Output;
  tiler: Tiler;
}

/** Many streams in one picture, with a mount, viewers and snapshots of its own. */
export class TiledOutput {
  readonly name: string;
  readonly #config: TilesConfig;
  readonly #parts: TiledOutputParts;
  /** The streams, in the order of their cells; null: without pictures now. */
  readonly #members = new Map<string, Output | null>();
  readonly #closing = new Set<Promise<void>>();
  #encoder: Encoder | null = null;
  #retry: NodeJS.Timeout | null = null;
  #pictures = 0;
  #skipped = 0;
  #lost = 0;
  #closed = false;

  /** `streams`: those that there are, configured or not. */
  constructor(config: TilesConfig, streams: readonly string[], parts: TiledOutputParts) {
    this.name = config.name;
    this.#config = config;
    this.#parts = parts;
    for (const streamId of config.streams.length > 0 ? config.streams : streams) this.#members.set(streamId, null);
  }

  /** The streams that it shows, in the order of their cells. */
  get streams(): string[] {
    return [...this.#members.keys()];
  }

  /** Pictures that were encoded so far. */
  get pictures(): number {
    return this.#pictures;
  }

  /** Pictures that were left out so far; skipped: tiling or encoding was too slow; encoder: it has failed. */
  get dropped(): Record<'skipped' | 'encoder', number> {
    return { skipped: this.#skipped + (this.#encoder?.tiler.skipped() ?? 0), encoder: this.#lost };
  }

  /** A stream has another output; null: none now. A new stream gets a cell where all are shown. */
  show(streamId: string, output: Output | null): void {
    if (this.#config.streams.length > 0 && !this.#members.has(streamId)) return;
    this.#members.set(streamId, output);
    this.#encoder?.tiler.show(streamId, output);
  }

  /** JPEG of the latest picture; null: no picture now. */
  async snapshot(quality: number): Promise<Uint8Array | null> {
    return (await this.#encoder?.output.snapshot(quality))?.jpeg ?? null;
  }

  /** A viewer of the pictures; null when there are none now. */
  openViewer(listener: (event: ViewerEvent) => void): Viewer | null {
    return this.#encoder?.output.openViewer(listener) ?? null;
  }

  /** Composes and encodes from now on. */
  open(): void {
    const { fps, columns, encode } = this.#config;
    let output: Output | null = null;
    let tiler: Tiler | null = null;
    try {
      output = this.#parts.addon.createOutput(
        { streamId: this.name, format: formatOf(this.#config), encode, queue: ENCODER_QUEUE },
        (event) => {
          if (event.type === 'encoded') this.#pictures++;
          else if (event.type === 'dropped') this.#lost++;
          else if (output === this.#encoder?.output) this.#fail(event.code, event.message);
        },
      );
      tiler = this.#parts.addon.createTiler(output, { fps, columns: columns ?? 0, staleMs: STALE_MS });
      for (const [streamId, shown] of this.#members) tiler.show(streamId, shown);
      this.#parts.rtsp.mount(this.name, output);
      this.#encoder = { output, tiler };
    } catch (error) {
      if (output !== null) this.#finish(output, tiler);
      this.#fail(codeOf(error), messageOf(error));
    }
  }

  /** Ends the mount and all viewers. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#retry) clearTimeout(this.#retry);
    this.#retire();
    await Promise.all(this.#closing);
  }

  #fail(code: string | undefined, message: string): void {
    this.#parts.failed(code ?? 'OUTPUT_FAILED', message);
    this.#retire();
    if (this.#closed || this.#retry) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.open();
    }, RETRY_MS);
  }

  #retire(): void {
    const encoder = this.#encoder;
    if (!encoder) return;
    this.#encoder = null;
    this.#skipped += encoder.tiler.skipped();
    this.#parts.rtsp.unmount(this.name);
    this.#finish(encoder.output, encoder.tiler);
  }

  #finish(output: Output, tiler: Tiler | null): void {
    const closing = Promise.resolve(tiler?.close())
      .then(() => output.close())
      .catch((error: unknown) => {
        this.#parts.failed(codeOf(error) ?? 'OUTPUT_FAILED', messageOf(error));
      })
      .finally(() => {
        this.#closing.delete(closing);
      });
    this.#closing.add(closing);
  }
}

function formatOf({ width, height, fps }: TilesConfig): FrameFormat {
  return {
    width,
    height,
    pixelFormat: 'I420',
    matrix: height >= HD_HEIGHT ? 'bt709' : 'bt601',
    range: 'limited',
    frameRateNumerator: fps,
    frameRateDenominator: 1,
    pixelAspectNumerator: 1,
    pixelAspectDenominator: 1,
  };
}
