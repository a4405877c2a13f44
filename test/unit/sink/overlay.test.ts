import { describe, expect, it } from 'vitest';
import { classColor, Overlay, overlayBoxes } from '../../../services/sink/overlay.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';

const detection = (label: string, confidence: number, classId = 0): Detection => ({
  box: { x: 1.5, y: 2, width: 30, height: 40 },
  classId,
  label,
  confidence,
  landmarks: [],
});

describe('overlayBoxes', () => {
  it('writes class and confidence', () => {
    expect(overlayBoxes([detection('person', 0.867)])).toEqual([
      { x: 1.5, y: 2, width: 30, height: 40, label: 'person 87 %', color: classColor(0) },
    ]);
  });

  it('writes the confidence alone for a class without a name', () => {
    expect(overlayBoxes([detection('', 0.5)])[0]?.label).toBe('50 %');
  });

  it('draws the most certain last, and leaves out what has no box', () => {
    const boxes = overlayBoxes([
      detection('car', 0.9),
      detection('dog', 0.3),
      { ...detection('ghost', 0.6), box: undefined },
    ]);
    expect(boxes.map((b) => b.label)).toEqual(['dog 30 %', 'car 90 %']);
  });
});

describe('classColor', () => {
  it('is stable and within 24 bits', () => {
    for (let id = 0; id < 100; id++) {
      expect(classColor(id)).toBe(classColor(id));
      expect(classColor(id)).toBeGreaterThanOrEqual(0);
      expect(classColor(id)).toBeLessThanOrEqual(0xffffff);
    }
  });

  it('differs clearly between the first classes', () => {
    const channels = (c: number) => [c >> 16, (c >> 8) & 255, c & 255];
    for (let a = 0; a < 8; a++) {
      for (let b = 0; b < a; b++) {
        const other = channels(classColor(b));
        const distance = channels(classColor(a)).reduce(
          (sum, v, i) => sum + Math.abs(v - (other[i] ?? 0)),
          0,
        );
        expect(distance).toBeGreaterThan(40);
      }
    }
  });
});

describe('Overlay', () => {
  const MS = 1_000_000n;
  const { INFERENCE_STATUS_INFERRED: INFERRED, INFERENCE_STATUS_SUPERSEDED: SUPERSEDED } = InferenceStatus;

  it('keeps the boxes for a moment on frames that nobody looked at', () => {
    const overlay = new Overlay();
    expect(overlay.boxes(SUPERSEDED, [], 0n)).toEqual([]);
    const boxes = overlay.boxes(INFERRED, [detection('person', 0.9)], 100n * MS);
    expect(boxes).toHaveLength(1);
    expect(overlay.boxes(SUPERSEDED, [], 200n * MS)).toEqual(boxes);
    expect(overlay.boxes(SUPERSEDED, [], 500n * MS)).toEqual(boxes);
    expect(overlay.boxes(SUPERSEDED, [], 501n * MS)).toEqual([]);
  });

  it('drops them at once when somebody looked and saw nothing', () => {
    const overlay = new Overlay();
    overlay.boxes(INFERRED, [detection('person', 0.9)], 0n);
    expect(overlay.boxes(INFERRED, [], 100n * MS)).toEqual([]);
    expect(overlay.boxes(SUPERSEDED, [], 200n * MS)).toEqual([]);
  });
});
