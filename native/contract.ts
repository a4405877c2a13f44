/**
 * The boundary between TypeScript and the C++ addon, with the files contract_*.ts: what is about
 * models is in contract_inference.ts, and so on.
 *
 * Rules: what crosses is plain data (DTOs), numbers for handles, and the
 * classes below; every field is present (`T | null`, never optional), so that
 * `undefined` always means a bug; defaults and validation live in TypeScript.
 * Fields and functions stand in the same order and under the same names in
 * `native/binding/`. Nothing here blocks the calling thread unless it says so.
 *
 * Listeners are called on Node's thread, never after `close()` has resolved,
 * and must not throw.
 */
import type { EncodeOptions, EncoderChoice } from './contract_encode.js';
import type { FileAddon } from './contract_file.js';
import type { EnginePlatform, PluginEngine, PluginEngineOptions, PreprocessFrame, PreprocessGeometry, PreprocessSpec } from './contract_inference.js';
import type { Overlay } from './contract_overlay.js';
import type { RecordingAddon } from './contract_recording.js';
import type { RtspServer, RtspServerEvent, RtspServerOptions } from './contract_rtsp.js';
import type { TilerAddon } from './contract_tiler.js';

export type * from './contract_encode.js';
export type * from './contract_file.js';
export type * from './contract_inference.js';
export type * from './contract_overlay.js';
export type * from './contract_recording.js';
export type * from './contract_rtsp.js';
export type * from './contract_tiler.js';

/** Layout of the samples. I420: planes Y, U, V. NV12: planes Y, UV. */
export type PixelFormat = 'I420' | 'NV12';

/** Matrix between YUV and RGB, from the stream's caps; ITU-R BT.601, BT.709. */
export type ColorMatrix = 'bt601' | 'bt709';

/** Range of the samples: limited is 16–235 (luma) and 16–240 (chroma). */
export type ColorRange = 'limited' | 'full';

/**
 * Where the pixels of a pool lie. shm: memfd, everywhere. cuda: one VMM allocation on
 * an NVIDIA GPU. cuda-ipc: the same by a legacy IPC handle, which works only inside one
 * pid namespace. dmabuf: one DMA-BUF a slot.
 */
export type MemoryKind = 'shm' | 'cuda' | 'cuda-ipc' | 'dmabuf';

/** Size, layout and colour of a stream's frames. */
export interface FrameFormat {
  width: number;
  height: number;
  pixelFormat: PixelFormat;
  matrix: ColorMatrix;
  range: ColorRange;
  /** Nominal rate; 0/1 when the source does not say. */
  frameRateNumerator: number;
  frameRateDenominator: number;
  /** Pixel aspect ratio; 1/1 for square pixels. */
  pixelAspectNumerator: number;
  pixelAspectDenominator: number;
}

/** Every error from the addon carries one of these as `code`. */
export interface NativeError extends Error {
  code: string;
}

// ---------------------------------------------------------------- machine --

/** What GStreamer is and has on this machine. */
export interface MediaProbe {
  gstreamerVersion: string;
  /** Asked element name → is there. */
  elements: Record<string, boolean>;
}

/** Whether pools of one kind of memory can be made on this machine, found out by making one. */
export interface MemoryProbe {
  available: boolean;
  /** What it lies on, for people ("NVIDIA H200, driver 580.95"), or why there is none. */
  detail: string;
}

/** Whether frames in GPU memory are preprocessed on the GPU; without it the CPU does, after a copy. */
export interface CudaPreprocessProbe {
  available: boolean;
  /** For people. */
  detail: string;
}

// ------------------------------------------------------- bus: the producer --

/** Where a producer's pools are offered, and to whom. */
export interface BusServerOptions {
  /** Existing directory, mode 0750. The socket is `<directory>/<producer>.sock`. */
  directory: string;
  /** Name of the producer, `[a-z0-9-]{1,64}`. */
  producer: string;
  /** Peers are admitted by SO_PEERCRED: own uid, or one of these. */
  allowUids: number[];
  allowGids: number[];
  /** Consumers must know it, too; empty: no token is asked for. At most 128 bytes. */
  token: string;
  /** A lease that lasts longer fences its consumer; 0 turns that off. */
  leaseDeadlineMs: number;
}

export type BusServerEvent =
  | { type: 'attached'; consumer: string; group: string; peerUid: number }
  /**
   * `held`: frames that the consumer had leased when it went. `revoked`: it was fenced,
   * because a lease had passed its deadline or because it held more than it may.
   */
  | { type: 'detached'; consumer: string; group: string; reason: string; revoked: boolean; held: HeldFrame[] }
  | { type: 'refused'; peerUid: number; reason: string };

/** A frame that somebody still held. */
export interface HeldFrame {
  epoch: string;
  slot: number;
  generation: bigint;
}

/** A consumer group on a stream's route, and how many of the pool's frames its members may hold at once. */
export interface RouteGroup {
  name: string;
  hold: number;
}

/** Counters of one consumer on one pool. All but `revoked` are what the consumer says of itself. */
export interface ConsumerState {
  consumer: string;
  group: string;
  peerUid: number;
  /** Frames of this pool that it may hold at once. */
  hold: number;
  held: number;
  heldMost: number;
  /** Frames that it leased. */
  delivered: bigint;
  /** Frames that had gone when it wanted them. */
  stale: bigint;
  /** Frames that it let go by because it held too many. */
  quota: bigint;
  /** Frames that it let go by because newer ones came first. */
  displaced: bigint;
  /** How often a consumer of this name and group was fenced, on any pool of the producer. */
  revoked: bigint;
}

/** One pool that is on offer, and who is attached to it. */
export interface PoolState {
  streamId: string;
  epoch: string;
  memory: MemoryKind;
  width: number;
  height: number;
  slots: number;
  /** Frames that all consumers together may hold. */
  capacity: number;
  /** Slots by state. */
  free: number;
  writing: number;
  published: number;
  /** A newer epoch has replaced it; it goes with its last lease. */
  retired: boolean;
  framesPublished: bigint;
  /** Frames given up for newer ones before every group had taken them. */
  framesDisplaced: bigint;
  groups: (RouteGroup & {
    /** Frames that a member took. */
    delivered: bigint;
    /** Frames that ended without a member having taken them. */
    missed: bigint;
  })[];
  consumers: ConsumerState[];
}

/** Accepts consumers on a unix socket and hands them the pools' memory. */
export interface BusServer {
  /** Number of consumers attached now, by group. */
  consumers(): Record<string, number>;
  pools(): PoolState[];
  /** Disconnects all consumers and frees the name. */
  close(): Promise<void>;
}

/** How a delivery to a group ended, see `Source.endDelivery`. */
export type DeliveryEnd =
  /** Nobody had it, and nobody can lease it for this group from now on. */
  | 'closed'
  /** A member of the group has, or had, a lease. */
  | 'taken'
  /** A member is between writing its lease and confirming it: ask again. */
  | 'undecided'
  /** The slot has moved on by more than one generation: nobody knows any more. */
  | 'gone';

/** A pool of frames that the caller makes by itself, instead of a `Source`. */
export interface ProducerPoolOptions {
  streamId: string;
  format: FrameFormat;
  memory: 'shm' | 'dmabuf';
  /** One of them is always left to write into: consumers may hold `slots` − 1 together. */
  slots: number;
  /** Consumer groups on the stream's route, in order; at most 8. */
  groups: RouteGroup[];
}

/** A slot to write a frame into. */
export interface WritableSlot {
  readonly slot: number;
  /** Views without a copy, to write to. Throws FRAME_RELEASED after `publish` or `discard`. */
  planes(): Plane[];
  /** Hands the frame to the groups; views have length 0 afterwards. Returns its generation. */
  publish(): bigint;
  /** Gives the slot back unpublished. Idempotent. */
  discard(): void;
}

export interface ProducerPool {
  readonly epoch: string;
  readonly createdUnixNs: bigint;
  /**
   * A free slot, or null when all are written, pending or leased. `displace`:
   * then rather takes the oldest frame that nobody leases from those it waits for.
   */
  acquire(displace: boolean): WritableSlot | null;
  /** As `Source.endDelivery`. */
  endDelivery(slot: number, generation: bigint, group: string): DeliveryEnd;
  /** As `Source.delivery`. */
  delivery(slot: number, generation: bigint, group: string): 'none' | 'held' | 'released' | 'gone';
  /** As `Source.openGroup`. */
  openGroup(group: RouteGroup): void;
  /** As `Source.closeGroup`. */
  closeGroup(group: string): void;
  /** Slots by state. */
  counts(): { free: number; writing: number; published: number };
  /** Ends all deliveries. The memory lives until its last lease has ended. Idempotent. */
  close(): void;
}

// ------------------------------------------------------------------ decode --

export interface SourceOptions {
  streamId: string;
  /** Anything that GStreamer's uridecodebin opens: file://, rtsp://, http://, v4l2://. */
  uri: string;
  /** Play files again and again; timestamps and `seq` go on. */
  loop: boolean;
  /** Play files at the pace of their timestamps instead of as fast as slots allow. */
  realtime: boolean;
  /** latest: a full pool drops frames (counted). lossless: a full pool pauses the source. */
  mode: 'latest' | 'lossless';
  /** cuda: decoded by NVDEC where it can, copied on the device; uploaded otherwise. */
  memory: MemoryKind;
  /** Frames that consumers may hold together; the decoder's own reference frames come on top. */
  slots: number;
  /** Consumer groups on the stream's route, in order; at most 8. */
  groups: RouteGroup[];
  /** Decoder threads; 0 lets the decoder choose. */
  decoderThreads: number;
  /** RTSP transport. */
  rtspTransport: 'tcp' | 'udp';
  /** No frame for so long is an error; 0 turns the watchdog off. */
  noFrameTimeoutMs: number;
}

export type SourceEvent =
  /** A new pool; frames from now on are in it. */
  | { type: 'epoch'; epoch: string; createdUnixNs: bigint; format: FrameFormat; memory: MemoryKind; slots: number; decoder: string }
  | {
      type: 'frame';
      epoch: string;
      slot: number;
      generation: bigint;
      seq: bigint;
      ptsNs: bigint;
      captureUnixNs: bigint;
      captureSource: 'rtcp_sr' | 'arrival' | 'file';
      captureUncertaintyNs: bigint;
      /** CLOCK_MONOTONIC when the frame left the decoder (for realtime files: when it was due). */
      decodedMonotonicNs: bigint;
    }
  | { type: 'drop'; reason: 'pool_exhausted'; seq: bigint }
  | { type: 'warning'; code: string; message: string }
  /** The file has ended. The source stays open so that its frames can be taken. */
  | { type: 'end' }
  /** The source is over and must be closed; `retryable`: trying again may help. */
  | { type: 'error'; code: string; message: string; retryable: boolean };

export interface SourceStats {
  framesDecoded: bigint;
  /** Frames that the decoder wrote into slots by itself, without a copy. */
  framesDirect: bigint;
  /** Frames that were copied into a slot once. */
  framesCopied: bigint;
  framesDropped: bigint;
  /** Slots by state. */
  slotsFree: number;
  slotsWriting: number;
  slotsPublished: number;
}

/** One decode pipeline that fills a pool. */
export interface Source {
  start(): void;
  /**
   * Ends the delivery lease that protects a published frame for a group.
   * A slot is reused only when every group's delivery has ended and nobody leases it.
   */
  endDelivery(epoch: string, slot: number, generation: bigint, group: string): DeliveryEnd;
  /**
   * Whether a member of the group has leased the frame, without ending anything.
   * held: leases it now. released: had it and let go. none: not (yet). gone: the slot has moved on.
   */
  delivery(epoch: string, slot: number, generation: bigint, group: string): 'none' | 'held' | 'released' | 'gone';
  /**
   * Puts a group on the route of all frames that are published from now on, in this and
   * later epochs. Throws BUS_ADMISSION when the pool cannot spare so many frames, or has
   * 8 groups. Idempotent for the same name.
   */
  openGroup(group: RouteGroup): void;
  /** Takes it off; deliveries to it end. Unknown names are ignored. */
  closeGroup(group: string): void;
  /** A full pool pauses the source from now on (files only), or drops frames again. */
  setMode(mode: 'latest' | 'lossless'): void;
  stats(): SourceStats;
  /** Stops decoding. Pools live until their last lease has ended. */
  close(): Promise<void>;
}

// ------------------------------------------------------- bus: the consumer --

export interface BusConsumerOptions {
  /** Directory of the producers' sockets. */
  directory: string;
  /** Name of this consumer, for people; `[A-Za-z0-9._-]{1,64}`. */
  name: string;
  /** Group that it takes frames for, for example "infer". */
  group: string;
  /** Most frames that it may hold at once, over one producer's pools. */
  maxHeld: number;
  /** Most frames of one pool that it wants to hold at once; the producer may grant fewer … */
  hold: number;
  /** … but if it cannot grant these, `attach` fails with BUS_ADMISSION. */
  minHold: number;
  /** The producer's token; empty when it asks for none. */
  token: string;
}

export type BusConsumerEvent =
  /**
   * The producer is gone; leases on its frames stay good. Attach again when it is back.
   * (If it lives, and only the connection broke, they are void: `valid()` is false.)
   */
  | { type: 'detached'; producer: string; reason: string }
  /**
   * The producer has fenced this consumer: all its leases on the producer's frames are
   * void (`valid()` is false). Attach again to go on.
   */
  | { type: 'revoked'; producer: string; reason: string }
  /** A FrameLease was collected without release(): a bug of the caller. The lease was ended. */
  | { type: 'leaked'; epoch: string; slot: number; generation: bigint };

/** Why there is no lease. */
export type LeaseRefusal =
  /** The slot holds another generation, or its delivery to this group was ended. */
  | 'stale'
  /** The pool is not attached: call `attach` first. */
  | 'unattached'
  /** `maxHeld` frames, or those that the pool has granted, are held already. */
  | 'quota';

/** One plane, as leased. Rows are `stride` bytes apart; the last may be shorter. */
export interface Plane {
  data: Uint8Array;
  stride: number;
  width: number;
  height: number;
}

/**
 * A leased frame. Its memory is read-only: writing to a plane crashes the process.
 * Planes keep their lease alive; a lease that is neither released nor referenced
 * is reported as `leaked`.
 */
export interface FrameLease {
  /** Process-wide number of the lease, valid in every worker thread; 0 is never used. */
  readonly id: number;
  readonly format: FrameFormat;
  readonly memory: MemoryKind;
  /**
   * Views without a copy. Throws FRAME_RELEASED after `release`, LEASE_REVOKED after a
   * revocation, FRAME_ON_DEVICE for `cuda` (see `download`).
   */
  planes(): Plane[];
  /** A copy of the planes in memory of its own, whatever memory the frame lies in. Throws as `planes`, and BUS_MEMORY. */
  download(): Promise<Plane[]>;
  /** Whether the slot still holds the leased generation (false after a revocation). */
  valid(): boolean;
  /** Ends the lease. Idempotent. Views taken from `planes` have length 0 afterwards. */
  release(): void;
}

export interface BusConsumer {
  /**
   * Maps the pool of an epoch; resolves at once if it is mapped. Connects to the
   * producer if needed, and waits for it for some seconds at most. Rejects with
   * BUS_UNREACHABLE, BUS_REFUSED, BUS_ADMISSION, BUS_EPOCH_GONE, BUS_MEMORY,
   * MEMORY_UNSUPPORTED, BUS_CLOSED.
   */
  attach(producer: string, epoch: string): Promise<void>;
  /** Leases a frame; a few atomic operations, no system call. */
  lease(epoch: string, slot: number, generation: bigint): FrameLease | LeaseRefusal;
  held(): number;
  /** Frames of the pool that may be held at once, as granted; 0 when it is not attached. */
  hold(epoch: string): number;
  /** Counts frames that the caller has let go by for newer ones; see ConsumerState. */
  countDisplaced(epoch: string, frames: number): void;
  /**
   * No more leases. Those that there are stay good: the connection ends with the
   * last of them.
   */
  close(): Promise<void>;
}

// ------------------------------------------------------------------ output --

export interface OutputOptions {
  streamId: string;
  format: FrameFormat;
  encode: EncodeOptions;
  /** Frames that may wait for drawing and encoding. */
  queue: number;
  /**
   * Once it was full, no more than one frame waits until it has caught up: an output that is too
   * slow holds no frames that others need. Left out: false.
   */
  yielding?: boolean;
  /**
   * Of the pictures, in pixels, even; their height follows, so that they keep their shape. What is
   * drawn is made for that size. Left out or 0: the frames' own size.
   */
  width?: number;
}

export type OutputEvent =
  /** A frame has been encoded and handed to all viewers. */
  | { type: 'encoded'; seq: bigint; keyframe: boolean; bytes: number; monotonicNs: bigint }
  /** A queued frame that is not encoded. stale: its lease was revoked before the copy. */
  | { type: 'dropped'; seq: bigint; reason: 'stale' | 'encoder' }
  /** Nothing is encoded any more: close the output. */
  | { type: 'error'; code: string; message: string };

export interface CaptureOptions {
  /** JPEG's, 1 to 100. */
  quality: number;
  drawn: boolean;
  timeoutMs: number;
}

export type ViewerEvent =
  /** Fragmented MP4: first ftyp+moov, then fragments, the first one starting with a keyframe. */
  | { type: 'data'; init: boolean; data: Uint8Array }
  | { type: 'end'; reason: string };

/** One annotated, encoded picture stream. */
export interface Output {
  /**
   * Queues a leased frame for copy, drawing and encoding. The output takes its own
   * hold on the lease until the copy is made; the caller still releases its own.
   * A queued frame ends as one `encoded` or one `dropped` event. Throws OUTPUT_FORMAT,
   * OUTPUT_CLOSED, FRAME_RELEASED.
   */
  push(leaseId: number, seq: bigint, ptsNs: bigint, overlay: Overlay): 'queued' | 'full';
  /** JPEG of the latest drawn picture; null before the first one. */
  snapshot(quality: number): Promise<{ seq: bigint; jpeg: Uint8Array } | null>;
  /**
   * JPEG of exactly the picture that is pushed next. drawn: as viewers see it; else without the
   * drawing, but concealed. null when that one is refused (`full`) or dropped, nothing is pushed in
   * time, or the output closes. Rejects with JPEG_FAILED.
   */
  captureNext(options: CaptureOptions): Promise<{ seq: bigint; jpeg: Uint8Array } | null>;
  /** A muxer of its own for one viewer; slow viewers are cut (`end`), never waited for. */
  openViewer(listener: (event: ViewerEvent) => void): Viewer;
  /** Encodes what is queued; its events come before the promise resolves. */
  close(): Promise<void>;
}

export interface Viewer {
  /** Bytes handed to the listener and not yet acknowledged; a viewer over its limit is ended. */
  acknowledge(bytes: number): void;
  close(): void;
}

// ------------------------------------------------------------------- addon --

export interface Addon extends RecordingAddon, TilerAddon, FileAddon {
  /** CLOCK_MONOTONIC in nanoseconds, the clock of all `…MonotonicNs`. */
  monotonicNs(): bigint;
  probeMedia(elements: string[]): MediaProbe;
  /** Makes and frees a small pool of the kind. May take a second: a promise. */
  probeMemory(memory: MemoryKind): Promise<MemoryProbe>;
  /**
   * Whether frames on an NVIDIA GPU are preprocessed there, and by what ("NVRTC 13.0 (…), kernel for
   * compute capability 9.0 from …"), or why not. Asked early it saves the first batch the compiling.
   */
  probeCudaPreprocess(): Promise<CudaPreprocessProbe>;
  /** Throws BUS_DIRECTORY or BUS_IN_USE. */
  createBusServer(options: BusServerOptions, listener: (event: BusServerEvent) => void): BusServer;
  /** Throws BAD_OPTIONS, NO_SPACE, BUS_CLOSED. */
  createProducerPool(server: BusServer, options: ProducerPoolOptions): ProducerPool;
  createSource(server: BusServer, options: SourceOptions, listener: (event: SourceEvent) => void): Source;
  createBusConsumer(options: BusConsumerOptions, listener: (event: BusConsumerEvent) => void): BusConsumer;
  /**
   * Writes leased frames (of any thread) into a batch tensor, frame i at i × 3 × height × width.
   * The geometry of a part leads to pixels of the whole frame, too. Frames on a GPU are
   * preprocessed there (see probeCudaPreprocess), and the tensor is copied to the host.
   * Runs on the calling thread: call it from a worker. Throws FRAME_RELEASED.
   */
  preprocess(frames: readonly PreprocessFrame[], spec: PreprocessSpec, tensor: Float32Array): PreprocessGeometry[];
  /**
   * The same for one picture that lies in memory; sizes are checked. The last row of
   * a plane may be shorter than its stride. Runs on the calling thread.
   */
  preprocessPlanes(
    format: FrameFormat,
    planes: { data: Uint8Array; stride: number }[],
    spec: PreprocessSpec,
    tensor: Float32Array,
  ): PreprocessGeometry;
  /** Whether models can run with this library. Rejects with ENGINE_MISSING, ENGINE_ABI, ENGINE_FAILED. */
  probeEngine(library: string, device: number): Promise<EnginePlatform>;
  /**
   * Loads a model, which may take long, on the calling thread. Throws ENGINE_MISSING, ENGINE_ABI,
   * ENGINE_VERSION, ENGINE_DEVICE, ENGINE_DAMAGED, ENGINE_MEMORY, MODEL_SHAPE, ENGINE_FAILED.
   */
  openEngine(options: PluginEngineOptions): PluginEngine;
  /**
   * The channel with the greatest score of each cell; of equal ones the first, and never NaN
   * while another channel is greater than -∞. nchw: planes of `cells` scores; nhwc: cells of
   * `channels` scores. Runs on the calling thread. Throws BAD_ARGUMENT when `scores` or `into`
   * are shorter, or `into` cannot hold the number of the last channel.
   */
  argmax(
    scores: Float32Array,
    channels: number,
    cells: number,
    layout: 'nchw' | 'nhwc',
    into: Uint8Array | Uint16Array,
  ): void;
  /** Which encoder an output would use; opens no device. Throws ENCODER_MISSING, BAD_OPTIONS (another codec's encoder). */
  chooseEncoder(wanted: Pick<EncodeOptions, 'codec' | 'encoder'>): EncoderChoice;
  /** Throws BAD_OPTIONS, ENCODER_MISSING, ENCODER_FAILED. */
  createOutput(options: OutputOptions, listener: (event: OutputEvent) => void): Output;
  /** Throws RTSP_PORT_IN_USE, RTSP_BIND or RTSP_TLS. */
  createRtspServer(options: RtspServerOptions, listener: (event: RtspServerEvent) => void): RtspServer;
}
