import type { OverlayLine } from '../../native/contract.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { objectColor, type ObjectStyle } from './overlay.js';

/** Points of a trail, however long it is shown; at most twice as many at odd rates of frames. */
const POINTS = 64n;

interface TrailPoint {
  x: number;
  y: number;
  timeNs: bigint;
}

interface Trail {
  color: number;
  /** Oldest first; the last one is where the object was seen or expected last. */
  points: TrailPoint[];
}

/** The paths that tracked objects of a stream have taken, along the ground: the middle of their boxes' lower edge. What is long ago is faint. */
export class Trails {
  readonly #lengthNs: bigint;
  readonly #style: Pick<ObjectStyle, 'color'>;
  readonly #trails = new Map<bigint, Trail>();
  #nowNs = 0n;

  /** @param lengthMs how far back a trail reaches; 0: there are none */
  constructor(lengthMs: number, style: Pick<ObjectStyle, 'color'>) {
    this.#lengthNs = BigInt(lengthMs) * 1_000_000n;
    this.#style = style;
  }

  /** Of the frame that a record is of; call it in order. */
  next({ detections, endedTrackIds, captureTime, ptsNs }: DetectionRecord): OverlayLine[] {
    if (this.#lengthNs === 0n) return [];
    const nowNs = captureTime?.unixNs ?? ptsNs;
    // The stream has begun anew.
    if (nowNs < this.#nowNs) this.#trails.clear();
    this.#nowNs = nowNs;
    for (const trackId of endedTrackIds) this.#trails.delete(trackId);
    for (const { trackId, classId, box } of detections) {
      if (trackId === 0n || !box) continue;
      const trail = this.#trails.get(trackId) ?? { color: objectColor({ trackId, classId }, this.#style), points: [] };
      this.#trails.set(trackId, trail);
      this.#extend(trail, { x: box.x + box.width / 2, y: box.y + box.height, timeNs: nowNs });
    }
    return [...this.#trails].flatMap(([trackId, trail]) => this.#line(trackId, trail));
  }

  /** The newest point moves with the object until it is far enough, in time, from the one before. */
  #extend({ points }: Trail, point: TrailPoint): void {
    const before = points.at(-2);
    if (before && point.timeNs - before.timeNs <= this.#lengthNs / POINTS) points.pop();
    points.push(point);
  }

  #line(trackId: bigint, trail: Trail): OverlayLine[] {
    const since = this.#nowNs - this.#lengthNs;
    trail.points = trail.points.filter(({ timeNs }) => timeNs >= since);
    if (trail.points.length === 0) this.#trails.delete(trackId);
    if (trail.points.length < 2) return [];
    return [{ xy: Float32Array.from(trail.points.flatMap(({ x, y }) => [x, y])), color: trail.color, fades: true }];
  }
}
