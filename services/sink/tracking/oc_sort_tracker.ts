import { IMPOSSIBLE, type PairWorth, type Unmatched } from './association.js';
import { CascadeTracker, type CascadeOptions, type Match } from './cascade_tracker.js';
import { intersectionOverUnion, type Box } from './iou.js';
import type { Track } from './track.js';

/** Settings of OC-SORT. */
export interface OcSortTrackerOptions extends CascadeOptions {
  /** Least overlap of a strong detection with its track, 0 to 1. */
  minOverlap: number;
  /** How much it counts that an object goes on in its direction; 0: not at all. */
  inertia: number;
  /** Time over which a direction is measured, in milliseconds. */
  directionMs: number;
  /** How long an object may be looked for where it was last seen, in milliseconds. */
  recoveryMs: number;
}

/** Most boxes that are assumed between two sightings. */
const MAX_PATH = 60;
const NS_PER_MS = 1e6;

/**
 * OC-SORT (Cao 2023): what was seen counts more than what was reckoned. The
 * direction of motion helps to pair tracks and detections; tracks that are left
 * are looked for where they were last seen; and the filter of one that comes
 * back is corrected along the straight line between both sightings.
 */
export class OcSortTracker extends CascadeTracker {
  readonly #minOverlap: number;
  readonly #inertia: number;
  readonly #directionNs: bigint;
  readonly #recoveryNs: bigint;

  constructor(options: OcSortTrackerOptions) {
    super(options, options.directionMs);
    this.#minOverlap = options.minOverlap;
    this.#inertia = options.inertia;
    this.#directionNs = BigInt(Math.round(options.directionMs * NS_PER_MS));
    this.#recoveryNs = BigInt(Math.round(options.recoveryMs * NS_PER_MS));
  }

  protected override matchConfirmed(unmatched: Unmatched, timeNs: bigint, match: Match): Unmatched {
    const left = match(unmatched, this.#directedOverlap(timeNs), 0);
    const recent = left.tracks.filter((track) => timeNs - track.lastSeen.timeNs <= this.#recoveryNs);
    const lastOverlap: PairWorth = (track, detection) => intersectionOverUnion(track.lastSeen.box, detection);
    const recovered = match({ tracks: recent, detections: left.detections }, lastOverlap, this.#minOverlap);
    return { tracks: left.tracks.filter((track) => !track.isSeen), detections: recovered.detections };
  }

  /** A straight line, with a box for each frame that the track was missed in. */
  protected override pathTo(track: Track, to: Box): Box[] {
    const count = Math.min(track.misses, MAX_PATH);
    const from = track.lastSeen.box;
    return Array.from({ length: count }, (_, at) => {
      const part = (at + 1) / (count + 1);
      const between = (a: number, b: number): number => a + (b - a) * part;
      return {
        x: between(from.x, to.x),
        y: between(from.y, to.y),
        width: between(from.width, to.width),
        height: between(from.height, to.height),
      };
    });
  }

  #directedOverlap(timeNs: bigint): PairWorth {
    return (track, detection) => {
      const overlap = track.overlap(detection);
      if (overlap < this.#minOverlap) return IMPOSSIBLE;
      const angle = this.#turn(track, detection, timeNs);
      const agreement = angle === null ? 0 : (Math.PI / 2 - angle) / Math.PI;
      return overlap + this.#inertia * detection.confidence * agreement;
    };
  }

  /** Angle between where a track was going and where the detection is, 0 to π; null when it was not going anywhere. */
  #turn(track: Track, detection: Box, timeNs: bigint): number | null {
    const { box: last, timeNs: lastNs } = track.lastSeen;
    const [ax, ay] = step(track.sightingSince(lastNs - this.#directionNs).box, last);
    const [bx, by] = step(track.sightingSince(timeNs - this.#directionNs).box, detection);
    const length = Math.hypot(ax, ay) * Math.hypot(bx, by);
    if (length === 0) return null;
    return Math.acos(Math.min(1, Math.max(-1, (ax * bx + ay * by) / length)));
  }
}

/** From the centre of one box to that of another. */
function step(from: Box, to: Box): [x: number, y: number] {
  return [to.x + to.width / 2 - from.x - from.width / 2, to.y + to.height / 2 - from.y - from.height / 2];
}
