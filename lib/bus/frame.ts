import type { FrameFormat, FrameLease, MemoryKind, Plane } from '../../native/contract.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { rgbOf } from './rgb.js';

/**
 * A frame of a stream, leased: its memory stays as it is until `release`, whatever is
 * awaited meanwhile. Release it when you are done, or say `using frame = …`: until then
 * its slot is lost to everybody else, and it counts among those that you may hold.
 */
export class Frame implements Disposable {
  readonly streamId: string;
  /** Number of the frame in its stream, from 0; a jump says how many you did not get. */
  readonly seq: bigint;
  /** Presentation time on the stream's own clock, in nanoseconds. */
  readonly ptsNs: bigint;
  /** When it was captured, in nanoseconds since the Unix epoch. */
  readonly captureUnixNs: bigint;
  /** Size, layout and colour. */
  readonly format: FrameFormat;
  /** Where the pixels lie; for `cuda` they are had by `download` only. */
  readonly memory: MemoryKind;
  readonly #lease: FrameLease;
  readonly #onRelease: () => void;
  #planes: readonly Plane[] | null = null;

  /** @internal Frames come from `Bus.frames`. */
  constructor(descriptor: FrameDescriptor, lease: FrameLease, onRelease: () => void) {
    this.streamId = descriptor.streamId;
    this.seq = descriptor.seq;
    this.ptsNs = descriptor.ptsNs;
    this.captureUnixNs = descriptor.captureTime?.unixNs ?? 0n;
    this.format = lease.format;
    this.memory = lease.memory;
    this.#lease = lease;
    this.#onRelease = onRelease;
  }

  /** When it was captured, to the millisecond. */
  get captureTime(): Date {
    return new Date(Number(this.captureUnixNs / 1_000_000n));
  }

  /**
   * The planes in the shared memory itself, without a copy; I420: Y, U, V, NV12: Y, UV.
   * Row y begins at y × stride. Never write to them: that crashes the process. After
   * `release` their data has length 0; keep a copy, or `download()`, instead.
   * @throws FRAME_RELEASED, LEASE_REVOKED, FRAME_ON_DEVICE
   */
  get planes(): readonly Plane[] {
    // The lease itself knows best why there are none.
    if (this.#planes === null || !this.#lease.valid()) this.#planes = this.#lease.planes();
    return this.#planes;
  }

  /** A copy of the planes that stays, from whatever memory. @throws FRAME_RELEASED, LEASE_REVOKED, BUS_MEMORY */
  download(): Promise<Plane[]> {
    return this.#lease.download();
  }

  /**
   * The picture as 8-bit RGB, three bytes a pixel, row by row without gaps; a copy of its
   * own. On this thread: some 10 ms for 1080p. @throws as `planes`
   */
  rgb(): Uint8ClampedArray {
    return rgbOf(this.planes, this.format);
  }

  /** Whether the pixels are still those of this frame: false after `release`, or when it was revoked. */
  valid(): boolean {
    return this.#lease.valid();
  }

  /** Gives the frame back. Idempotent. */
  release(): void {
    this.#planes = null;
    this.#lease.release();
    this.#onRelease();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
