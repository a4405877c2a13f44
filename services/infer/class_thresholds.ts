import type { ModelManifest } from '../../models/manifest.js';
import { checkStreamLabels } from '../../models/stream_labels.js';

/** What a stream wants to be told of. */
export interface DetectionFilter {
  /** Labels to keep; empty keeps all. */
  labels: readonly string[];
  /** Takes the place of the model's own thresholds; null leaves them. */
  minConfidence: number | null;
  /** The same by label; counts more. */
  thresholds: Readonly<Record<string, number>>;
}

/**
 * The score that each channel of a model must exceed; infinite for channels
 * without a label, and for labels that the stream does not want: those never
 * take the place of one that it wants.
 *
 * @param stream name of the stream, for the message
 * @throws CONFIG_INVALID for a label that the model does not know
 */
export function classThresholds(manifest: ModelManifest, stream: string, filter: DetectionFilter): Float64Array {
  checkStreamLabels(manifest, `streams.${stream}`, filter, 'CONFIG_INVALID');
  const thresholds = new Float64Array(manifest.classes).fill(Number.POSITIVE_INFINITY);
  for (const [channel, label] of manifest.labels) {
    if (filter.labels.length > 0 && !filter.labels.includes(label)) continue;
    thresholds[channel] = filter.thresholds[label] ?? filter.minConfidence ?? manifest.thresholds.classes[label] ?? manifest.thresholds.default;
  }
  return thresholds;
}
