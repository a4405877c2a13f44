import type { ModelManifest } from '../../models/manifest.js';
import { classThresholds, type DetectionFilter } from './class_thresholds.js';

/** Thresholds of the streams for one model, numbered, so that a frame names them by a number. */
export class FilterTable {
  readonly #manifest: ModelManifest;
  readonly #filters: Float64Array[];
  readonly #numbers = new Map<string, number>();

  constructor(manifest: ModelManifest) {
    this.#manifest = manifest;
    this.#filters = [classThresholds(manifest, '', { labels: [], minConfidence: null, thresholds: {} })];
  }

  /** By number; 0 is the model's own thresholds. Grows in place. */
  get filters(): Float64Array[] {
    return this.#filters;
  }

  /** Number of a stream's thresholds; those of the model for a stream that has none. */
  numberOf(streamId: string): number {
    return this.#numbers.get(streamId) ?? 0;
  }

  /**
   * Sets what a stream wants, from its next frame on. @throws CONFIG_INVALID for a label that the model does not know
   *
   * @returns its number and thresholds
   */
  set(streamId: string, filter: DetectionFilter): { number: number; thresholds: Float64Array } {
    const thresholds = classThresholds(this.#manifest, streamId, filter);
    const number = this.#numbers.get(streamId) ?? this.#filters.length;
    this.#numbers.set(streamId, number);
    this.#filters[number] = thresholds;
    return { number, thresholds };
  }
}
