import type { ModelManifest } from '../../models/manifest.js';
import { streamThresholds, type StreamFilter, type StreamThresholds } from './stream_thresholds.js';

/** Thresholds of the streams for one model, numbered, so that a frame names them by a number. */
export class FilterTable {
  readonly #manifest: ModelManifest;
  readonly #filters: StreamThresholds[];
  readonly #numbers = new Map<string, number>();

  constructor(manifest: ModelManifest) {
    this.#manifest = manifest;
    this.#filters = [streamThresholds(manifest, '', { labels: [], minConfidence: null, thresholds: {}, weakConfidence: null })];
  }

  /** By number; 0 is the model's own thresholds. Grows in place. */
  get filters(): StreamThresholds[] {
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
  set(streamId: string, filter: StreamFilter): { number: number; thresholds: StreamThresholds } {
    const thresholds = streamThresholds(this.#manifest, streamId, filter);
    const number = this.#numbers.get(streamId) ?? this.#filters.length;
    this.#numbers.set(streamId, number);
    this.#filters[number] = thresholds;
    return { number, thresholds };
  }
}
