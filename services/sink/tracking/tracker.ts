import type { Box } from './iou.js';

/** An object that a model has found, in pixels of the frame. */
export interface TrackerDetection extends Box {
  /** 0 to 1. */
  confidence: number;
  /** Only detections of one class belong to one track. */
  classId: number;
  /** It may keep an active track, and nothing else, however confident it is: people did not ask for it. */
  keepsOnly?: boolean;
}

/** What was found in a frame that a model has looked at. */
export interface TrackerFrame {
  detections: readonly TrackerDetection[];
  /** When the frame was captured; what counts is the difference to other frames. */
  timeNs: bigint;
}

/** active: seen in the latest frame that was looked at. lost: seen before, and may come back. */
export type TrackedState = 'active' | 'lost';

/** Where a tracked object is, as far as is known: the filtered box, which may stand out of the frame. */
export interface TrackedBox extends Box {
  trackId: bigint;
  classId: number;
  state: TrackedState;
  /** Of the latest detection. */
  confidence: number;
  /** Index of its detection in this frame; null when the box is predicted. */
  detection: number | null;
  /** Since its first detection. */
  ageMs: number;
  /** Since its latest detection. */
  unseenMs: number;
}

/** A track that will not come back; its id is never used again. */
export interface EndedTrack {
  trackId: bigint;
  classId: number;
  /** Times of its first and of its last detection. */
  firstSeenNs: bigint;
  lastSeenNs: bigint;
  /** Number of its detections. */
  detections: number;
}

export interface TrackerUpdate {
  /** Track of each detection, in the order of the detections; null while it has none. */
  trackIds: (bigint | null)[];
  /** All tracks that are active or lost, oldest first. */
  tracks: TrackedBox[];
  /** Tracks that ended since the last call, each once. */
  ended: EndedTrack[];
}

/** Follows the objects of one stream. Frames come in their order. */
export interface Tracker {
  /** Takes in what was found in a frame. A time before the last one begins anew: all tracks end. */
  update(frame: TrackerFrame): TrackerUpdate;
  /** Where the active tracks are in a frame that no model has looked at. Changes nothing. */
  predict(timeNs: bigint): TrackedBox[];
  /** Ends all tracks, as at the end of a stream. */
  reset(): EndedTrack[];
}
