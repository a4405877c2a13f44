import type { RuleConfig } from '../../../lib/config.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

/** Models lose objects for a moment: for so long a rule holds on without them. */
export const LAPSE_MS = 1_000;

/**
 * begins: the rule's event starts with this frame. holds: it goes on. misses: what it is about
 * was not seen; after LAPSE_MS of that its event is over.
 */
export type RuleVerdict = 'begins' | 'holds' | 'misses' | null;

/** Looks for what a rule describes in the records of one stream, in order. */
export class EventRule {
  readonly config: RuleConfig;
  readonly #labels: ReadonlySet<string>;
  readonly #attributes: ReadonlySet<string>;
  /** Since when it has been there; null: it is not. */
  #sinceMs: number | null = null;
  /** Since when it has been missed, with less than LAPSE_MS; null: it was there in the latest frame. */
  #missedMs: number | null = null;
  /** The event has begun. */
  #isOn = false;
  /** No event begins before this. */
  #restMs = -Infinity;

  constructor(config: RuleConfig) {
    this.config = config;
    this.#labels = lowerCase(config.labels);
    this.#attributes = lowerCase(config.attributes);
  }

  /** null: nothing has changed, or nobody has looked at the frame. `nowMs`: monotonic. */
  see(record: DetectionRecord, nowMs: number): RuleVerdict {
    if (record.status !== InferenceStatus.INFERENCE_STATUS_INFERRED) return null;
    const isThere = this.#count(record.detections) >= this.config.atLeast;
    if (this.#missedMs !== null && nowMs - this.#missedMs > LAPSE_MS) this.#lapse(this.#missedMs);
    if (!isThere) return this.#miss(nowMs);
    this.#missedMs = null;
    this.#sinceMs ??= nowMs;
    if (this.#isOn) return 'holds';
    if (nowMs - this.#sinceMs < this.config.forMs || nowMs < this.#restMs) return null;
    this.#isOn = true;
    return 'begins';
  }

  #miss(nowMs: number): RuleVerdict {
    if (this.#sinceMs === null) return null;
    this.#missedMs ??= nowMs;
    return this.#isOn ? 'misses' : null;
  }

  #lapse(sinceMs: number): void {
    if (this.#isOn) this.#restMs = sinceMs + this.config.pauseMs;
    this.#sinceMs = this.#missedMs = null;
    this.#isOn = false;
  }

  #count(detections: readonly Detection[]): number {
    let count = 0;
    for (const detection of detections) {
      // What is only expected was not seen.
      if (detection.predicted) continue;
      if (this.#fits(detection)) count++;
      count += this.#count(detection.parts);
    }
    return count;
  }

  #fits({ label, confidence, attributes }: Detection): boolean {
    return (
      confidence >= this.config.minConfidence &&
      (this.#labels.size === 0 || this.#labels.has(label.toLowerCase())) &&
      (this.#attributes.size === 0 || attributes.some((attribute) => this.#attributes.has(attribute.label.toLowerCase())))
    );
  }
}

const lowerCase = (labels: readonly string[]): Set<string> => new Set(labels.map((label) => label.toLowerCase()));
