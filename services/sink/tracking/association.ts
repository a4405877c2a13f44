import { Assignment, UNASSIGNED } from './assignment.js';
import type { Track } from './track.js';
import type { TrackerDetection } from './tracker.js';

/** Tracks and detections of a frame that have not found each other yet. */
export interface Unmatched {
  tracks: readonly Track[];
  /** Indices of detections of the frame. */
  detections: readonly number[];
}

/** What it is worth that a detection belongs to a track; `IMPOSSIBLE` forbids it. */
export type PairWorth = (track: Track, detection: TrackerDetection) => number;

/** Worth of a pair that must not be made. */
export const IMPOSSIBLE = -Infinity;

/** Finds the pairs of tracks and detections that are worth most together. Only those of one class are pairs. */
export class Association {
  readonly #assignment = new Assignment();
  #costs = new Float64Array(0);

  /**
   * @param detections all of the frame
   * @param worth of a pair of one class
   * @param least worth up to which a pair is better not made
   * @param onMatch gets every pair
   * @returns what is left, in the order given
   */
  match(
    unmatched: Unmatched,
    detections: readonly TrackerDetection[],
    worth: PairWorth,
    least: number,
    onMatch: (track: Track, index: number) => void,
  ): Unmatched {
    const { tracks, detections: indices } = unmatched;
    if (tracks.length === 0 || indices.length === 0) return unmatched;
    this.#fill(unmatched, detections, worth);
    const columnOf = this.#assignment.solve(this.#costs, tracks.length, indices.length, -least);
    const taken = new Set<number>();
    const left: Track[] = [];
    for (const [row, track] of tracks.entries()) {
      const column = columnOf[row] as number;
      const index = column === UNASSIGNED ? undefined : indices[column];
      if (index === undefined) {
        left.push(track);
        continue;
      }
      taken.add(index);
      onMatch(track, index);
    }
    return { tracks: left, detections: indices.filter((index) => !taken.has(index)) };
  }

  #fill({ tracks, detections: indices }: Unmatched, detections: readonly TrackerDetection[], worth: PairWorth): void {
    const size = tracks.length * indices.length;
    if (this.#costs.length < size) this.#costs = new Float64Array(2 * size);
    let at = 0;
    for (const track of tracks) {
      for (const index of indices) {
        const detection = detections[index] as TrackerDetection;
        this.#costs[at++] = -(detection.classId === track.classId ? worth(track, detection) : IMPOSSIBLE);
      }
    }
  }
}
