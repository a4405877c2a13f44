import { describe, expect, it } from 'vitest';
import { FramebusError } from '../../../lib/errors.js';
import { findManifest } from '../../../models/find.js';
import { classThresholds } from '../../../services/infer/class_thresholds.js';

const manifest = { ...findManifest('ssdlite-mobilenet-v2'), thresholds: { default: 0.4, classes: { person: 0.3 } } };
const PERSON = 0;
const BICYCLE = 1;
/** COCO has no category 12. */
const UNNAMED = 11;

describe('classThresholds', () => {
  it('takes the thresholds of the model, and never reports a channel without a label', () => {
    const thresholds = classThresholds(manifest, 'gate', { labels: [], minConfidence: null, thresholds: {} });
    expect(thresholds).toHaveLength(90);
    expect([thresholds[PERSON], thresholds[BICYCLE], thresholds[UNNAMED]]).toEqual([0.3, 0.4, Infinity]);
  });

  it('keeps only the labels that the stream wants, at its own confidence', () => {
    const thresholds = classThresholds(manifest, 'gate', { labels: ['bicycle'], minConfidence: 0.1, thresholds: {} });
    expect([thresholds[PERSON], thresholds[BICYCLE]]).toEqual([Infinity, 0.1]);
  });

  it('refuses a label that the model does not know', () => {
    const wrong = (): unknown => classThresholds(manifest, 'gate', { labels: ['person', 'persn'], minConfidence: null, thresholds: {} });
    expect(wrong).toThrow(FramebusError);
    expect(wrong).toThrow('streams.gate.labels: "persn": model ssdlite-mobilenet-v2 has no such label');
  });
});
