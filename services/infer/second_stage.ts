import type { Detection, DetectionAttribute } from '#proto/framebus/detection/v1/detection.js';
import type { LeasedFrame } from './leased_frame.js';
import type { BatchRun, Seen } from './work.js';

/** What secondary models say of a frame's detections; by their index. */
export interface Refinement {
  attributes: readonly (readonly DetectionAttribute[])[];
  parts: readonly (readonly Detection[])[];
  /** Names of the secondary models that have looked, whether they saw something or not. */
  lookedBy: readonly (readonly string[])[];
}

/** Looks once more at what was seen in a frame, before its result goes out. */
export interface SecondStage {
  /** null: there is nothing to look at. Never rejects: what fails is left out. The lease lives until it resolves. */
  refine(leased: LeasedFrame, seen: Seen, run: BatchRun): Promise<Refinement> | null;
}
