/** What the bench asks of its two processes, and what they answer; it crosses their IPC channel. */
import type { FrameFormat } from '../../native/contract.js';

/** A pool to make, named by its stream. */
export interface PoolRequest {
  stream: string;
  format: FrameFormat;
  slots: number;
}

export interface OpenedPool {
  stream: string;
  epoch: string;
}

/**
 * Evenly paced frames (or requests), so that nothing queues: `warmUp` of them
 * uncounted, then `frames` that count.
 */
export interface PacedBlock {
  perSecond: number;
  warmUp: number;
  frames: number;
}

/**
 * How a descriptor travels. plain: one NATS message, as to the sink and to taps.
 * pulled: JetStream and a pull consumer, as to the inference workers.
 */
export type DescriptorWay = 'plain' | 'pulled';

export interface FrameBlock extends PacedBlock {
  /** The block's frames go to the streams in turn. */
  streams: string[];
  way: DescriptorWay;
}

/** What one process used for the counted frames of a block. */
export interface Usage {
  /** User and system CPU of all threads. */
  cpuUs: number;
}

export interface ProducerUsage extends Usage {
  /** Size of a message on NATS. */
  descriptorBytes: number;
}

export interface ConsumerUsage extends Usage {
  /** From the last frame of the warm-up to the last one that counted. */
  seconds: number;
  /** publish() to planes(), of every counted frame, when asked for. */
  latencyUs: number[];
}

/** A published frame, handed over without NATS. */
export interface SlotAddress {
  slot: number;
  generation: bigint;
}
