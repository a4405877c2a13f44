import { FramebusError, type ErrorCode } from '../lib/errors.js';
import type { ModelManifest } from './manifest.js';

/** What of a stream's settings names labels. */
export interface LabelledSettings {
  readonly labels: readonly string[];
  /** By label. */
  readonly thresholds: Readonly<Record<string, number>>;
}

/**
 * Refuses labels that a model does not have: a stream that asks for them would silently
 * see nothing.
 *
 * @param object what asks, for the message: "streams.gate"
 * @param code of the error: where the labels come from
 */
export function checkStreamLabels(
  manifest: Pick<ModelManifest, 'name' | 'labels'>,
  object: string,
  { labels, thresholds }: LabelledSettings,
  code: ErrorCode,
): void {
  const known = new Set(manifest.labels.values());
  for (const [key, asked] of [['labels', labels], ['thresholds', Object.keys(thresholds)]] as const) {
    const unknown = asked.filter((label) => !known.has(label));
    if (unknown.length === 0) continue;
    const names = unknown.map((label) => `"${label}"`).join(', ');
    const remedy = known.size === 0 ? 'Leave them out.' : `Use some of: ${[...known].join(', ')}.`;
    throw new FramebusError(code, `${object}.${key}: ${names}: model ${manifest.name} has no such label`, { remedy });
  }
}
