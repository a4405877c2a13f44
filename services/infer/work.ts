import type { ModelManifest } from '../../models/manifest.js';
import type { FrameLease, FrameRegion } from '../../native/contract.js';
import type { Batchable } from './batcher.js';
import type { BatchTimes } from './detector.js';
import type { FrameFindings } from './frame_findings.js';

/** What was seen in a frame, or a part of one. */
export interface Seen {
  /** See `toFrameBoxes`. */
  rows: Float32Array;
  /** All that is not boxes. */
  findings: FrameFindings;
}

/** The batch in which something was seen. */
export interface BatchRun {
  /** The model that looked. */
  manifest: ModelManifest;
  times: BatchTimes;
  /** Frames, and parts of frames, of the batch. */
  size: number;
}

/** One place in a batch: a frame that this worker has leased, or a part of one. */
export interface Work extends Batchable {
  readonly lease: FrameLease;
  /** CLOCK_MONOTONIC since when it waits, in nanoseconds. */
  readonly leasedNs: bigint;
  /** The part to look at, in pixels of the frame; null: all of it. */
  readonly region: FrameRegion | null;
  /** Stream whose thresholds count; empty: the model's own. */
  readonly filter: string;
  /** The model has looked at it. */
  done(seen: Seen, run: BatchRun): void;
  /** It could not. */
  failed(reason: string): void;
  /** Its turn did not come in time. */
  expired(reason: string): void;
}
