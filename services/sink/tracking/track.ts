import { BoxFilter } from './box_filter.js';
import { intersectionOverUnion, type Box } from './iou.js';
import type { EndedTrack, TrackedBox, TrackerDetection } from './tracker.js';

/** tentative: too new to have an id. active: seen in the latest frame. lost: not seen, may come back. ended: gone for good. */
export type TrackState = 'tentative' | 'active' | 'lost' | 'ended';

/** Where and when an object was seen. */
export interface Sighting {
  box: Box;
  timeNs: bigint;
}

const NS_PER_SECOND = 1e9;
const NS_PER_MS = 1e6;
/** Largest search margin, in heights of the box. */
const MAX_MARGIN = 0.5;

/** One object through time. */
export class Track {
  readonly classId: number;
  readonly firstSeenNs: bigint;
  readonly #filter: BoxFilter;
  /** How far before the last sighting others are remembered. */
  readonly #memoryNs: bigint;
  /** Oldest first; never empty. */
  readonly #sightings: Sighting[];
  #state: TrackState = 'tentative';
  #id: bigint | null = null;
  #confidence: number;
  #detections = 1;
  #misses = 0;
  /** Index of its detection in the latest frame. */
  #detection: number | null;
  #expected: Box;
  #margin = 0;

  constructor(detection: TrackerDetection, index: number, timeNs: bigint, memoryNs: bigint) {
    this.classId = detection.classId;
    this.firstSeenNs = timeNs;
    this.#filter = new BoxFilter(detection);
    this.#memoryNs = memoryNs;
    this.#sightings = [{ box: detection, timeNs }];
    this.#confidence = detection.confidence;
    this.#detection = index;
    this.#expected = detection;
  }

  get state(): TrackState {
    return this.#state;
  }

  /** Null until it is confirmed. */
  get id(): bigint | null {
    return this.#id;
  }

  /** Number of its detections. */
  get detections(): number {
    return this.#detections;
  }

  /** Frames since its last detection. */
  get misses(): number {
    return this.#misses;
  }

  /** Whether it has a detection in the frame that is being looked at. */
  get isSeen(): boolean {
    return this.#detection !== null;
  }

  get lastSeen(): Sighting {
    return this.#sightings.at(-1) as Sighting;
  }

  /** Where it should be in the frame that is being looked at. */
  get expected(): Box {
    return this.#expected;
  }

  /** The earliest remembered sighting that is not older than this; the last one when all are. */
  sightingSince(timeNs: bigint): Sighting {
    return this.#sightings.find((sighting) => sighting.timeNs >= timeNs) ?? this.lastSeen;
  }

  /**
   * Reckons where it should be in a frame, and how far around that to look: two
   * boxes that are one standard deviation apart just touch. What is tentative has
   * to be where it is expected.
   */
  expect(timeNs: bigint): void {
    const seconds = this.#secondsSinceSeen(timeNs);
    this.#expected = this.#filter.predict(seconds);
    this.#detection = null;
    const margin = this.#state === 'tentative' ? 0 : this.#filter.deviation(seconds) / 2;
    this.#margin = Math.min(margin, MAX_MARGIN * this.#expected.height);
  }

  /** Overlap of a box with where it should be; both are enlarged by what is not known for sure. */
  overlap(box: Box): number {
    return intersectionOverUnion(this.#expected, box, this.#margin);
  }

  /** Takes a detection in. `via`: boxes that it is assumed to have had since the last one, at equal times in between. */
  see(detection: TrackerDetection, index: number, timeNs: bigint, via: readonly Box[] = []): void {
    const step = this.#secondsSinceSeen(timeNs) / (via.length + 1);
    for (const box of via) this.#filter.correct(box, step);
    this.#filter.correct(detection, step);
    this.#sightings.push({ box: detection, timeNs });
    while ((this.#sightings[0] as Sighting).timeNs < timeNs - this.#memoryNs) this.#sightings.shift();
    this.#confidence = detection.confidence;
    this.#detection = index;
    this.#detections += 1;
    this.#misses = 0;
    if (this.#state === 'lost') this.#state = 'active';
  }

  /** It was looked for and not found. */
  miss(): void {
    this.#misses += 1;
    if (this.#state !== 'active') return;
    this.#state = 'lost';
    this.#filter.holdHeight();
  }

  confirm(id: bigint): void {
    this.#id = id;
    this.#state = 'active';
  }

  /** Ends it; what is to be said of it, or null when it never had an id. */
  end(): EndedTrack | null {
    this.#state = 'ended';
    if (this.#id === null) return null;
    return {
      trackId: this.#id,
      classId: this.classId,
      firstSeenNs: this.firstSeenNs,
      lastSeenNs: this.lastSeen.timeNs,
      detections: this.#detections,
    };
  }

  /** Where it is in the latest frame that was looked at, or in one that was not; null unless it is active or lost. */
  boxAt(timeNs: bigint, isLookedAt: boolean): TrackedBox | null {
    if (this.#id === null || (this.#state !== 'active' && this.#state !== 'lost')) return null;
    const { x, y, width, height } = this.#filter.predict(this.#secondsSinceSeen(timeNs));
    return {
      trackId: this.#id,
      classId: this.classId,
      state: this.#state,
      confidence: this.#confidence,
      detection: isLookedAt ? this.#detection : null,
      ageMs: Number(timeNs - this.firstSeenNs) / NS_PER_MS,
      unseenMs: Math.max(0, Number(timeNs - this.lastSeen.timeNs) / NS_PER_MS),
      x,
      y,
      width,
      height,
    };
  }

  #secondsSinceSeen(timeNs: bigint): number {
    return Math.max(0, Number(timeNs - this.lastSeen.timeNs) / NS_PER_SECOND);
  }
}
