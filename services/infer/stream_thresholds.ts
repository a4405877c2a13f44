import type { ModelManifest } from '../../models/manifest.js';
import { classThresholds, type DetectionFilter } from './class_thresholds.js';

/** What a stream wants to be told of, and its tracker beside that. */
export interface StreamFilter extends DetectionFilter {
  /** Boxes from here on go to the stream's tracker, apart from what is reported; null: no tracker wants them. */
  weakConfidence: number | null;
}

/** The scores that the channels of a model must exceed for one stream; plain data for worker threads. */
export interface StreamThresholds {
  /** To be reported; see `classThresholds`. */
  reported: Float64Array;
  /** To be seen at all, nowhere above `reported`; null: nothing beside what is reported. */
  weak: Float64Array | null;
}

/** @throws CONFIG_INVALID for a label that the model does not know */
export function streamThresholds(manifest: ModelManifest, stream: string, filter: StreamFilter): StreamThresholds {
  const reported = classThresholds(manifest, stream, filter);
  const { weakConfidence } = filter;
  if (weakConfidence === null || manifest.task !== 'detect') return { reported, weak: null };
  // A label that the stream does not want has no weak boxes either.
  const weak = reported.map((threshold) => (threshold === Number.POSITIVE_INFINITY ? threshold : Math.min(threshold, weakConfidence)));
  return { reported, weak: weak.some((threshold, channel) => threshold < (reported[channel] as number)) ? weak : null };
}
