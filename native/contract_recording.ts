/** What the addon offers for recordings; the rules are those of contract.ts. */
import type { Output } from './contract.js';

export interface RecordingOptions {
  /** Absolute; made when it is missing. */
  folder: string;
  /** A segment ends at the first keyframe from here on … */
  segmentMs: number;
  /** … or at the one before its video would get larger; 0: no limit. */
  maxBytes: bigint;
  /** One line of JSON per frame, in a file beside the video. */
  sidecar: boolean;
  /** What may wait for the disk; beyond that, groups of pictures are left out. */
  queueBytes: bigint;
}

export type RecordingEvent =
  /** The disk is too slow: a group of pictures, or its end, is not in the file. */
  | { type: 'dropped' }
  /** Nothing is recorded for now; told once, until `resumed`. RECORDING_FAILED. */
  | { type: 'failed'; code: string; message: string }
  /** The first pictures of a file are on the disk. */
  | { type: 'begun'; file: string }
  /** Pictures are on the disk again. */
  | { type: 'resumed'; file: string };

/** Counters since the recording was made. */
export interface RecordingStats {
  /** Files begun that hold pictures. */
  segments: number;
  bytes: number;
  /** Groups of pictures that are not in the files, or not whole: the disk was slow or failed. */
  droppedGops: number;
  failures: number;
  /** The file that is being written; null when none is. */
  file: string | null;
  /** What waits for the disk now. */
  queuedBytes: number;
}

/** Files of an output's encoded pictures; see docs/recordings.md. */
export interface Recording {
  /** What stands as `record` (JSON) in the line of a frame that is pushed next. Another epoch begins another file. */
  expect(seq: bigint, epoch: string, record: string): void;
  stats(): RecordingStats;
  /** Finishes the file; a disk that hangs is left behind after 2.5 s. Idempotent. */
  close(): Promise<void>;
}

export interface ClipCacheOptions {
  /** Pictures of so long are kept, and up to a group of pictures more … */
  preRollMs: number;
  /** … but never more than this, their lines included. */
  maxBytes: bigint;
}

/** The encoded pictures of the last seconds of an output, for clips that begin in them; see docs/events.md. */
export interface ClipCache {
  /** As that of a recording, for all clips. */
  expect(seq: bigint, epoch: string, record: string): void;
  /**
   * Begins a clip with what is kept: from the last keyframe that is so long before the newest
   * picture, or from the oldest one. It ends by itself when the output does. Throws BAD_OPTIONS.
   */
  begin(preRollMs: number, options: RecordingOptions, listener: (event: RecordingEvent) => void): Clip;
  /** What is kept now. */
  stats(): { frames: number; bytes: number };
  /** Forgets everything. Idempotent. */
  close(): void;
}

/** A recording that began in the past. */
export interface Clip {
  /** From its first picture to the newest one when it was begun. */
  readonly preRollMs: number;
  stats(): RecordingStats;
  /** Ends it with the frame that was pushed last; an encoder or a disk that hangs is left behind after 3.5 s. Idempotent. */
  end(): Promise<void>;
}

export interface RecordingAddon {
  /** Keeps pictures until it, or the output, is closed. */
  createClipCache(output: Output, options: ClipCacheOptions): ClipCache;
  /** Records from the next keyframe on until it, or the output, is closed. Throws BAD_OPTIONS. */
  createRecording(output: Output, options: RecordingOptions, listener: (event: RecordingEvent) => void): Recording;
}
