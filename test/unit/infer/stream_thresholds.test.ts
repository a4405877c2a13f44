import { describe, expect, it } from 'vitest';
import { streamThresholds, type StreamFilter } from '../../../services/infer/stream_thresholds.js';
import { decoderManifest } from '../../helpers/decoding.js';

/** Its default threshold is 0.5; channel 1 has no label. */
const manifest = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face', 2: 'hat' }, more: { thresholds: { default: 0.5 } } });
const filter = (more: Partial<StreamFilter>): StreamFilter => ({ labels: [], minConfidence: null, thresholds: {}, weakConfidence: 0.1, ...more });
const numbers = ({ reported, weak }: ReturnType<typeof streamThresholds>) => ({ reported: [...reported], weak: weak === null ? null : [...weak] });

describe('streamThresholds', () => {
  it('has lower ones for the tracker, of the labels that the stream wants', () => {
    const both = streamThresholds(manifest, 'gate', filter({ thresholds: { hat: 0.8 } }));
    expect(numbers(both)).toEqual({ reported: [0.5, Infinity, 0.8], weak: [0.1, Infinity, 0.1] });
    const one = streamThresholds(manifest, 'gate', filter({ labels: ['hat'], thresholds: { hat: 0.05 }, minConfidence: 0.3 }));
    expect(numbers(one)).toEqual({ reported: [Infinity, Infinity, 0.05], weak: null });
    const mixed = streamThresholds(manifest, 'gate', filter({ thresholds: { hat: 0.05 } }));
    expect(numbers(mixed)).toEqual({ reported: [0.5, Infinity, 0.05], weak: [0.1, Infinity, 0.05] });
  });

  it('has none where no tracker wants them, and where a model finds no boxes', () => {
    expect(streamThresholds(manifest, 'gate', filter({ weakConfidence: null })).weak).toBeNull();
    const classes = decoderManifest({ task: 'classify', decoder: { kind: 'classification', output: 'o', activation: 'none' }, labels: { 0: 'a' } });
    expect(streamThresholds(classes, 'gate', filter({})).weak).toBeNull();
  });
});
