import type { FrameRegion } from '../../native/contract.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { TrackHint, TrackHints } from '#proto/framebus/track/v1/track_hints.js';

/** An object as it was just found. */
export interface FoundObject {
  frame: Pick<FrameDescriptor, 'streamId' | 'epoch' | 'seq'>;
  box: FrameRegion;
  /** Channel of the model. */
  classId: number;
}

interface KnownTracks {
  hints: Pick<TrackHints, 'epoch' | 'tracks'>;
  heardMs: number;
}

/** What sink has not said again for so long is not known any more: it is gone, or follows no objects. */
const FRESH_MS = 1_000;
/** Overlap from which on a detection is a track's: objects move little from one look to the next. */
const LEAST_OVERLAP = 0.3;
/** Looks that sink may not have heard of yet. */
const REMEMBERED = 4_096;

/** What sink tells of the objects that it follows: which of them a secondary model has seen, and when. */
export class TrackMemory {
  readonly #nowMs: () => number;
  readonly #known = new Map<string, KnownTracks>();
  /** Numbers of the frames in which this worker looked, by stream, epoch, track and model; oldest first. */
  readonly #looked = new Map<string, bigint>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  hear(hints: Pick<TrackHints, 'streamId' | 'epoch' | 'tracks'>): void {
    this.#known.set(hints.streamId, { hints, heardMs: this.#nowMs() });
  }

  /**
   * Whether a secondary model should look at an object: it has not for `interval` frames,
   * or the object is new. null: nothing is known of the stream's objects.
   */
  isDue(found: FoundObject, model: string, interval: number): boolean | null {
    const { streamId, epoch, seq } = found.frame;
    const known = this.#known.get(streamId);
    const isFresh = known !== undefined && this.#nowMs() - known.heardMs <= FRESH_MS && known.hints.epoch?.uuid === epoch?.uuid;
    if (!isFresh) return null;
    const track = best(known.hints.tracks, found);
    // New: sink will know it after a few frames; until then every look is worth it.
    if (track === null) return true;
    const key = `${streamId}/${epoch?.uuid ?? ''}/${track.trackId}/${model}`;
    const heard = track.looked[model];
    const last = latest(heard === undefined ? null : heard - 1n, this.#looked.get(key) ?? null);
    if (last !== null && seq - last <= BigInt(interval)) return false;
    this.#note(key, seq);
    return true;
  }

  #note(key: string, seq: bigint): void {
    this.#looked.delete(key);
    this.#looked.set(key, seq);
    for (const oldest of this.#looked.keys()) {
      if (this.#looked.size <= REMEMBERED) return;
      this.#looked.delete(oldest);
    }
  }
}

/** The track of the same class that overlaps most. */
function best(tracks: readonly TrackHint[], { box, classId }: FoundObject): TrackHint | null {
  let found: TrackHint | null = null;
  let most = LEAST_OVERLAP;
  for (const track of tracks) {
    if (track.classId !== classId || track.box === undefined) continue;
    const overlap = overlapOf(track.box, box);
    if (overlap < most) continue;
    [found, most] = [track, overlap];
  }
  return found;
}

/** Intersection over union. */
function overlapOf(a: FrameRegion, b: FrameRegion): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (a.width * a.height + b.width * b.height - both);
}

function latest(a: bigint | null, b: bigint | null): bigint | null {
  if (a === null || b === null) return a ?? b;
  return a > b ? a : b;
}
