import { describe, expect, it } from 'vitest';
import { classColor, overlayBoxes } from '../../../services/sink/overlay.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';

const detection = (label: string, confidence: number, classId = 0): Detection => ({
  box: { x: 1.5, y: 2, width: 30, height: 40 },
  classId,
  label,
  confidence,
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
