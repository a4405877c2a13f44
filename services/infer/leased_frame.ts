import type { FrameLease } from '../../native/contract.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { Batchable } from './batcher.js';

/** A frame that this worker has leased and will answer for. */
export interface LeasedFrame extends Batchable {
  frame: FrameDescriptor;
  lease: FrameLease;
  /** CLOCK_MONOTONIC of the lease, in nanoseconds. */
  leasedNs: bigint;
}
