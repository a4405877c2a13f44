import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';

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
  refuseUnknown(manifest, `streams.${stream}.labels`, filter.labels);
  refuseUnknown(manifest, `streams.${stream}.thresholds`, Object.keys(filter.thresholds));
  const thresholds = new Float64Array(manifest.classes).fill(Number.POSITIVE_INFINITY);
  for (const [channel, label] of manifest.labels) {
    if (filter.labels.length > 0 && !filter.labels.includes(label)) continue;
    thresholds[channel] = filter.thresholds[label] ?? filter.minConfidence ?? manifest.thresholds.classes[label] ?? manifest.thresholds.default;
  }
  return thresholds;
}

function refuseUnknown(manifest: ModelManifest, key: string, labels: readonly string[]): void {
  const known = new Set(manifest.labels.values());
  const unknown = labels.filter((label) => !known.has(label));
  if (unknown.length === 0) return;
  throw new FramebusError(
    'CONFIG_INVALID',
    `${key}: ${unknown.map((label) => `"${label}"`).join(', ')}: model ${manifest.name} has no such label`,
    { remedy: `Use some of: ${[...known].join(', ')}.` },
  );
}
