import { Association, type PairWorth, type Unmatched } from './association.js';
import { intersectionOverUnion, type Box } from './iou.js';
import type { Track } from './track.js';
import type { EndedTrack, TrackedBox, Tracker, TrackerDetection, TrackerFrame, TrackerUpdate } from './tracker.js';
import { Tracks } from './tracks.js';

/** What both trackers need to be told; confidences are 0 to 1. */
export interface CascadeOptions {
  /** Upper half of every id; see `createTracker`. */
  epoch: number;
  /** Detections from here on are matched first, with all confirmed tracks. */
  highConfidence: number;
  /** Detections from here on may still keep an active track; weaker ones are not looked at. */
  lowConfidence: number;
  /** Detections from here on begin a track. */
  newConfidence: number;
  /** How long a track may be unseen before it ends, in milliseconds. */
  lostMs: number;
  /** Detections in a row that give a track its id. */
  confirmHits: number;
}

/** Least overlap of a weak detection with the active track that it keeps. */
const WEAK_OVERLAP = 0.5;
/** Least overlap × confidence of a detection with the tentative track that it goes on. */
const TENTATIVE_OVERLAP = 0.3;
/** An active and a lost track that overlap by more are one object. */
const SAME_OVERLAP = 0.85;

/** Pairs tracks and detections of the frame and gives the tracks theirs; what is left. */
export type Match = (unmatched: Unmatched, worth: PairWorth, least: number) => Unmatched;

const weightedOverlap: PairWorth = (track, detection) => track.overlap(detection) * detection.confidence;
const overlap: PairWorth = (track, detection) => track.overlap(detection);

/**
 * Detections find tracks in an order: strong ones those that are confirmed, weak
 * ones the active tracks that are left, and what remains of the strong ones those
 * that are tentative. How the first are paired is each tracker's own.
 */
export abstract class CascadeTracker implements Tracker {
  readonly #options: CascadeOptions;
  readonly #tracks: Tracks;
  readonly #association = new Association();

  /** `memoryMs`: how far back tracks remember where they were seen. */
  constructor(options: CascadeOptions, memoryMs: number) {
    this.#options = options;
    this.#tracks = new Tracks({ epoch: options.epoch, lostMs: options.lostMs, confirmHits: options.confirmHits, memoryMs });
  }

  update(frame: TrackerFrame): TrackerUpdate {
    const tracks = this.#tracks.begin(frame);
    const { detections } = frame;
    const { strong, weak } = this.#split(detections);
    const see = (track: Track, index: number): void =>
      this.#tracks.see(track, index, this.pathTo(track, detections[index] as TrackerDetection));
    const match: Match = (unmatched, worth, least) => this.#association.match(unmatched, detections, worth, least, see);
    const tentative = tracks.filter((track) => track.state === 'tentative');
    const confirmed = tracks.filter((track) => track.state !== 'tentative');
    const first = this.matchConfirmed({ tracks: confirmed, detections: strong }, frame.timeNs, match);
    const active = first.tracks.filter((track) => track.state === 'active');
    match({ tracks: active, detections: weak }, overlap, WEAK_OVERLAP);
    const last = match({ tracks: tentative, detections: first.detections }, weightedOverlap, TENTATIVE_OVERLAP);
    for (const track of first.tracks) if (!track.isSeen) track.miss();
    for (const track of last.tracks) this.#tracks.end(track);
    for (const index of last.detections) {
      if ((detections[index] as TrackerDetection).confidence >= this.#options.newConfidence) this.#tracks.start(index);
    }
    this.#endDoubles(tracks);
    return this.#tracks.finish();
  }

  predict(timeNs: bigint): TrackedBox[] {
    return this.#tracks.predict(timeNs);
  }

  reset(): EndedTrack[] {
    return this.#tracks.reset();
  }

  /** Pairs confirmed tracks with strong detections. */
  protected abstract matchConfirmed(unmatched: Unmatched, timeNs: bigint, match: Match): Unmatched;

  /** Boxes that a track is assumed to have had between its last detection and this one. */
  protected abstract pathTo(track: Track, detection: Box): Box[];

  /** Indices of the detections of both strengths; those without an area are neither. */
  #split(detections: readonly TrackerDetection[]): { strong: number[]; weak: number[] } {
    const [strong, weak]: [number[], number[]] = [[], []];
    for (const [index, { x, y, width, height, confidence, keepsOnly }] of detections.entries()) {
      const isBox = width > 0 && height > 0 && Number.isFinite(x + y + width + height);
      if (!isBox) continue;
      if (confidence >= this.#options.highConfidence && keepsOnly !== true) strong.push(index);
      else if (confidence >= this.#options.lowConfidence) weak.push(index);
    }
    return { strong, weak };
  }

  /** Of an active and a lost track in one place, the one that was followed for a shorter time ends. */
  #endDoubles(tracks: readonly Track[]): void {
    const lost = tracks.filter((track) => track.state === 'lost');
    if (lost.length === 0) return;
    for (const active of tracks) {
      for (const other of lost) {
        if (active.state !== 'active' || other.state !== 'lost' || other.classId !== active.classId) continue;
        if (intersectionOverUnion(active.lastSeen.box, other.expected) <= SAME_OVERLAP) continue;
        this.#tracks.end(followedNs(active) > followedNs(other) ? other : active);
      }
    }
  }
}

/** Time from the first to the last sighting. */
function followedNs(track: Track): bigint {
  return track.lastSeen.timeNs - track.firstSeenNs;
}
