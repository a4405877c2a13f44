import type { Box } from './iou.js';
import { Track } from './track.js';
import type { EndedTrack, TrackedBox, TrackerDetection, TrackerFrame, TrackerUpdate } from './tracker.js';

export interface TracksOptions {
  /** Upper half of every id; see `createTracker`. */
  epoch: number;
  /** How long a track may be unseen before it ends, in milliseconds. */
  lostMs: number;
  /** Detections in a row that make a tentative track active. */
  confirmHits: number;
  /** How long a track remembers where it was seen, in milliseconds. */
  memoryMs: number;
}

const NS_PER_MS = 1e6;
const COUNTER_BITS = 32n;

/** The tracks of one stream: their ids, times and lifecycle. Who is whom is the trackers' business. */
export class Tracks {
  readonly #confirmHits: number;
  readonly #lostNs: bigint;
  readonly #memoryNs: bigint;
  readonly #epoch: bigint;
  /** Ids given out. */
  #count = 0n;
  #tracks: Track[] = [];
  #ended: EndedTrack[] = [];
  /** The frame that is being looked at, or the latest one; null before the first. */
  #frame: TrackerFrame | null = null;
  /** Whether `#frame` is the first one. */
  #isFirst = true;
  #trackOf: (Track | null)[] = [];

  constructor({ epoch, lostMs, confirmHits, memoryMs }: TracksOptions) {
    this.#epoch = BigInt(epoch) << COUNTER_BITS;
    this.#lostNs = BigInt(Math.round(lostMs * NS_PER_MS));
    this.#memoryNs = BigInt(Math.round(memoryMs * NS_PER_MS));
    this.#confirmHits = confirmHits;
  }

  /** Begins a frame; the tracks that may be in it, oldest first. */
  begin(frame: TrackerFrame): readonly Track[] {
    if (this.#frame !== null && frame.timeNs < this.#frame.timeNs) this.#endAll();
    this.#isFirst = this.#frame === null;
    this.#frame = frame;
    this.#trackOf = frame.detections.map(() => null);
    for (const track of this.#tracks) {
      if (frame.timeNs - track.lastSeen.timeNs > this.#lostNs) this.end(track);
      else track.expect(frame.timeNs);
    }
    this.#forgetEnded();
    return this.#tracks;
  }

  /** Gives a track a detection of the frame; see `Track.see`. */
  see(track: Track, index: number, via: readonly Box[]): void {
    const { detections, timeNs } = this.#current();
    track.see(detections[index] as TrackerDetection, index, timeNs, via);
    this.#trackOf[index] = track;
    if (track.state === 'tentative' && track.detections >= this.#confirmHits) track.confirm(this.#newId());
  }

  /** Begins a track with a detection of the frame. What is there in the first frame is believed at once. */
  start(index: number): void {
    const frame = this.#current();
    const track = new Track(frame.detections[index] as TrackerDetection, index, frame.timeNs, this.#memoryNs);
    this.#tracks.push(track);
    this.#trackOf[index] = track;
    if (this.#isFirst || this.#confirmHits <= 1) track.confirm(this.#newId());
  }

  end(track: Track): void {
    const ended = track.end();
    if (ended !== null) this.#ended.push(ended);
  }

  /** Ends the frame. */
  finish(): TrackerUpdate {
    this.#forgetEnded();
    const { timeNs } = this.#current();
    const ended = this.#ended;
    this.#ended = [];
    const trackIds = this.#trackOf.map((track) => (track === null || track.state === 'ended' ? null : track.id));
    return { trackIds, tracks: this.#boxesAt(timeNs, true), ended };
  }

  /** Boxes of the active tracks in a frame that no model has looked at. */
  predict(timeNs: bigint): TrackedBox[] {
    return this.#boxesAt(timeNs, false).filter((box) => box.state === 'active');
  }

  reset(): EndedTrack[] {
    this.#endAll();
    const ended = this.#ended;
    this.#ended = [];
    return ended;
  }

  #boxesAt(timeNs: bigint, isLookedAt: boolean): TrackedBox[] {
    const boxes: TrackedBox[] = [];
    for (const track of this.#tracks) {
      if (timeNs - track.lastSeen.timeNs > this.#lostNs) continue;
      const box = track.boxAt(timeNs, isLookedAt);
      if (box !== null) boxes.push(box);
    }
    return boxes;
  }

  #endAll(): void {
    for (const track of this.#tracks) this.end(track);
    this.#tracks = [];
    this.#frame = null;
  }

  #forgetEnded(): void {
    if (this.#tracks.some((track) => track.state === 'ended')) {
      this.#tracks = this.#tracks.filter((track) => track.state !== 'ended');
    }
  }

  #current(): TrackerFrame {
    if (this.#frame === null) throw new Error('tracks: no frame has begun');
    return this.#frame;
  }

  #newId(): bigint {
    this.#count += 1n;
    if (this.#count >> COUNTER_BITS !== 0n) throw new RangeError('tracks: an epoch has no more than 2^32 - 1 ids');
    return this.#epoch | this.#count;
  }
}
