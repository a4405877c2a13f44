import { describe, expect, it } from 'vitest';
import { Findings } from '../../../services/infer/findings.js';
import { ROW } from '../../../services/infer/frame_boxes.js';
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

  describe('with boxes below the thresholds', () => {
    const manifest = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face', 1: 'hat' }, more: { nms: { kind: 'agnostic', iou: 0.5 }, top_k: 4 } });
    type Found = [x: number, score: number, classIndex: number];
    const find = (...boxes: Found[]) => {
      const found = new Findings();
      for (const [x, score, classIndex] of boxes) {
        found.boxes.push(x, 20, x + 10, 30, score, classIndex);
        found.boxes.setLandmarks([x, 20]);
      }
      const { rows, findings } = toFrameFindings(found, manifest, { ...frame, thresholds: Float64Array.of(0.5, 0.2) });
      const read = (numbers: Float32Array): Found[] =>
        Array.from({ length: numbers.length / ROW }, (_, row) => [numbers[row * ROW]! / 2, Math.round(numbers[row * ROW + 4]! * 100) / 100, numbers[row * ROW + 5]!]);
      return { reported: read(rows), weak: read(findings.weak.rows), landmarks: findings.weak.landmarks };
    };

    it('keeps them apart, without those that lie where something was reported or is better', () => {
      const { reported, weak, landmarks } = find([0, 0.9, 0], [30, 0.4, 0], [1, 0.45, 0], [31, 0.3, 0], [60, 0.3, 1], [80, 0.1, 1]);
      expect(reported).toEqual([[0, 0.9, 0], [60, 0.3, 1]]);
      expect(weak).toEqual([[30, 0.4, 0], [80, 0.1, 1]]);
      expect([...landmarks]).toEqual([60, 20, 160, 20]);
    });

    it('reports the same as without them', () => {
      // A weak face is more certain than the hat that is reported there, and all have no room.
      const hats: Found[] = [[0, 0.3, 1], [20, 0.25, 1], [40, 0.22, 1]];
      const { reported, weak } = find([0, 0.4, 0], ...hats, [60, 0.45, 0], [80, 0.44, 0]);
      expect(reported).toEqual(find(...hats).reported);
      expect(reported).toEqual(hats);
      expect(weak).toEqual([[60, 0.45, 0]]);
    });
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
