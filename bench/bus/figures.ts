import type { FrameSize } from './frame_sizes.js';

export interface Percentiles {
  p50: number;
  p99: number;
}

/** What the bench found; CPU is user and system time, medians over the blocks of one run. */
export interface BusFigures {
  /** Rate of the frames that `cpuUs` and shmsink were measured at. */
  framesPerSecond: number;
  /**
   * Producer's and consumer's process for a delivered frame, its descriptor over NATS
   * included, the timer that paces the frames taken off (as the source is for shmsink).
   */
  cpuUs: Record<FrameSize, number>;
  /** What was taken off. */
  pacingCpuUs: number;
  /** The same for 1080p at other rates: a process that wakes up for each frame pays for the waking. */
  cpuUsAtRate: Record<string, number>;
  /** nats-server's share of a 1080p frame; not in `cpuUs`. */
  natsServerCpuUs: number;
  /** Acquire, planes, publish, lease, planes, release, on both sides, and nothing else. */
  busOnlyCpuUs: Record<FrameSize, number>;
  /** shmsink to shmsrc, with one copy into its memory. */
  shmsinkCpuUs: number;
  /** The same without a copy. */
  shmsinkInPlaceCpuUs: number;
  /** A 1080p frame inside NATS messages: both sides and the server. */
  natsPayloadCpuUs: number;
  /** publish() to planes(), descriptor in a plain NATS message. */
  publishToViewUs: Percentiles;
  /** The same through JetStream and a pull consumer. */
  publishToViewPulledUs: Percentiles;
  /** Round trip of a bare request of the descriptor's size, in turn with the two above. */
  natsRequestUs: Percentiles;
  descriptorBytes: number;
  /** 64 streams of 1080p at 30 frames/s, both sides, nothing taken off. */
  streams64: { framesPerSecond: number; cpuUs: number; natsServerCpuUs: number };
}
