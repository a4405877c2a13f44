import { describe, expect, it } from 'vitest';
import { Findings } from '../../../services/infer/findings.js';
import { toFrameFindings } from '../../../services/infer/frame_findings.js';
import { decoderManifest } from '../../helpers/decoding.js';

/** A frame of 200 × 100 with ten rows of padding above, at half its size. */
const frame = { geometry: { scaleX: 0.5, scaleY: 0.5, offsetX: 0, offsetY: 10 }, width: 200, height: 100, region: null };
const thresholds = Float64Array.of(0.1, Infinity, 0.1);

describe('toFrameFindings', () => {
  it('gives each box that stays its own landmarks, in pixels of the frame', () => {
    const manifest = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face' }, more: { nms: { kind: 'per_class', iou: 0.5 } } });
    const found = new Findings();
    const face = (x: number, y: number, score: number): void => {
      found.boxes.push(x, y, x + 10, y + 10, score, 0);
      found.boxes.setLandmarks([x + 1, y + 2, x + 30, y + 3]);
    };
    face(0, 20, 0.5);
    face(50, 30, 0.9);
    // Suppressed by the one before, and one that lies in the padding.
    face(51, 30, 0.8);
    face(70, -10, 0.95);
    const { rows, findings } = toFrameFindings(found, manifest, { ...frame, thresholds: Float64Array.of(0.1) });
    expect([...rows].map((value) => Math.round(value * 100) / 100)).toEqual([100, 40, 20, 20, 0.9, 0, 0, 20, 20, 20, 0.5, 0]);
    expect([...findings.landmarks]).toEqual([102, 44, 160, 46, 2, 24, 60, 26]);
  });

  it('sorts classes, best first, and leaves out those that do not pass', () => {
    const manifest = decoderManifest({
      task: 'classify',
      decoder: { kind: 'classification', output: 'o', activation: 'none' },
      labels: { 0: 'a', 2: 'c' },
      more: { top_k: 2 },
    });
    const found = new Findings();
    found.classes.push({ classIndex: 2, score: 0.3 }, { classIndex: 1, score: 0.9 }, { classIndex: 0, score: 0.3 }, { classIndex: 7, score: 1 });
    const { findings } = toFrameFindings(found, manifest, { ...frame, thresholds });
    expect(findings.classes).toEqual([
      { classIndex: 0, score: 0.3 },
      { classIndex: 2, score: 0.3 },
    ]);
  });

  it('makes masks of the labels that are wanted, and copies of tensors', () => {
    const manifest = decoderManifest({ task: 'segment', decoder: { kind: 'segmentation', output: 'o', layout: 'map' }, labels: { 0: 'a', 2: 'c' }, width: 100, height: 70 });
    const found = new Findings();
    found.map = { width: 10, height: 7, classes: Uint8Array.from({ length: 70 }, (_, cell) => (cell < 20 ? 0 : cell < 40 ? 1 : 2)) };
    const bytes = Uint8Array.of(1, 2);
    found.tensors.push({ name: 't', type: 'uint8', dims: [2], bytes });
    const { findings } = toFrameFindings(found, manifest, { ...frame, thresholds });
    const common = { width: 10, height: 5, area: { x: 0, y: 0, width: 200, height: 100 } };
    expect(findings.masks).toEqual([
      { classIndex: 0, ...common, runs: [0, 10], cells: 10 },
      { classIndex: 2, ...common, runs: [30, 20], cells: 20 },
    ]);
    bytes.fill(0);
    expect(findings.tensors).toEqual([{ name: 't', type: 'uint8', dims: [2], bytes: Uint8Array.of(1, 2) }]);
  });
});
