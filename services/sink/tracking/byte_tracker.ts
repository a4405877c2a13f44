import type { PairWorth, Unmatched } from './association.js';
import { CascadeTracker, type CascadeOptions, type Match } from './cascade_tracker.js';
import type { Box } from './iou.js';

/** Settings of ByteTrack. */
export interface ByteTrackerOptions extends CascadeOptions {
  /** Least overlap × confidence of a strong detection with its track, 0 to 1. */
  minOverlap: number;
}

const worth: PairWorth = (track, detection) => track.overlap(detection) * detection.confidence;

/**
 * ByteTrack (Zhang 2022): strong detections find their tracks first; weak ones,
 * mostly of objects that are half hidden, keep the active tracks that are left.
 */
export class ByteTracker extends CascadeTracker {
  readonly #minOverlap: number;

  constructor(options: ByteTrackerOptions) {
    super(options, 0);
    this.#minOverlap = options.minOverlap;
  }

  protected override matchConfirmed(unmatched: Unmatched, _timeNs: bigint, match: Match): Unmatched {
    return match(unmatched, worth, this.#minOverlap);
  }

  protected override pathTo(): Box[] {
    return [];
  }
}
