import { describe, expect, it } from 'vitest';
import { classColor, emptyOverlay, objectColor, overlayOf, type ObjectStyle } from '../../../services/sink/overlay.js';
import { Detection, DetectionAttribute } from '#proto/framebus/detection/v1/detection.js';
import { SegmentationMask } from '#proto/framebus/detection/v1/segmentation_mask.js';

const detection = (label: string, confidence: number, more: Parameters<typeof Detection.fromPartial>[0] = {}): Detection =>
  Detection.fromPartial({ box: { x: 1.5, y: 2, width: 30, height: 40 }, label, confidence, ...more });
const attribute = (label: string, confidence: number): DetectionAttribute => DetectionAttribute.fromPartial({ label, confidence });
const labels = (detections: Detection[]): string[] => overlayOf({ detections, masks: [] }).boxes.map(({ label }) => label);

describe('overlayOf', () => {
  it('writes class and confidence', () => {
    expect(overlayOf({ detections: [detection('person', 0.867)], masks: [] })).toEqual({
      ...emptyOverlay(),
      boxes: [{ x: 1.5, y: 2, width: 30, height: 40, label: 'person 87 %', color: classColor(0), part: false }],
    });
  });

  it('writes the confidence alone for a class without a name', () => {
    expect(labels([detection('', 0.5)])).toEqual(['50 %']);
  });

  it('writes attributes after the class, in their order', () => {
    const attributes = [attribute('red', 0.912), attribute('', 0.3)];
    expect(labels([detection('car', 0.87, { attributes })])).toEqual(['car 87 % · red 91 % · 30 %']);
  });

  it('writes what the style names, in one order', () => {
    const car = detection('car', 0.87, { attributes: [attribute('red', 0.9)], trackId: (7n << 32n) | 12n });
    const text = (...label: ObjectStyle['label']): string | undefined =>
      overlayOf({ detections: [car], masks: [] }, { color: 'class', label }).boxes[0]?.label;
    expect(text('attributes', 'confidence', 'track', 'name')).toBe('car #12 87 % · red 90 %');
    expect(text('name', 'attributes')).toBe('car · red');
    expect(text('track')).toBe('#12');
    expect(text()).toBe('');
  });

  it('draws in the colour of the track when asked to, and in that of the class where there is none', () => {
    const style = { color: 'track', label: [] } as const;
    const first = detection('car', 0.5, { classId: 2, trackId: (7n << 32n) | 1n });
    const again = detection('car', 0.6, { classId: 2, trackId: (9n << 32n) | 1n });
    const second = detection('car', 0.7, { classId: 2, trackId: (7n << 32n) | 2n });
    const none = detection('car', 0.8, { classId: 5 });
    const colors = overlayOf({ detections: [first, again, second, none], masks: [] }, style).boxes.map(({ color }) => color);
    expect(colors).toEqual([classColor(1), classColor(1), classColor(2), classColor(5)]);
    expect(objectColor(second, { color: 'class' })).toBe(classColor(2));
    expect(objectColor(first, { color: 'class' })).toBe(classColor(2));
  });

  it('draws the most certain last, and leaves out what has no box', () => {
    expect(labels([detection('car', 0.9), detection('dog', 0.3), detection('ghost', 0.6, { box: undefined })])).toEqual(['dog 30 %', 'car 90 %']);
  });

  it('draws parts after their object, in its colour and marked as such', () => {
    const face = detection('face', 0.98, { box: { x: 4, y: 5, width: 6, height: 7 }, attributes: [attribute('mask', 0.5)], classId: 0 });
    const person = detection('person', 0.9, { classId: 3, parts: [face] });
    const { boxes } = overlayOf({ detections: [person, detection('dog', 0.4)], masks: [] });
    expect(boxes.map(({ label, color, part }) => ({ label, color, part }))).toEqual([
      { label: 'dog 40 %', color: classColor(0), part: false },
      { label: 'person 90 %', color: classColor(3), part: false },
      { label: 'face 98 % · mask 50 %', color: classColor(3), part: true },
    ]);
    expect(boxes[2]).toMatchObject({ x: 4, y: 5, width: 6, height: 7 });
  });

  it('draws landmarks of objects and of their parts', () => {
    const eyes = detection('face', 0.9, { landmarks: [{ x: 3, y: 4 }] });
    const person = detection('person', 0.8, { classId: 2, landmarks: [{ x: 1, y: 2 }, { x: -5.5, y: 6 }], parts: [eyes] });
    expect(overlayOf({ detections: [person, detection('dog', 0.4)], masks: [] }).points).toEqual([
      { xy: Float32Array.of(1, 2, -5.5, 6), color: classColor(2) },
      { xy: Float32Array.of(3, 4), color: classColor(2) },
    ]);
  });

  it('lays masks over their area in the colours of their classes', () => {
    const mask = SegmentationMask.fromPartial({ classId: 7, label: 'sky', width: 4, height: 3, area: { x: -1, y: 2, width: 64, height: 48 }, runs: [0, 3, 2, 1] });
    const lost = SegmentationMask.fromPartial({ classId: 1, width: 4, height: 3, runs: [0, 3] });
    expect(overlayOf({ detections: [], masks: [mask, lost] }).masks).toEqual([
      { x: -1, y: 2, width: 64, height: 48, columns: 4, rows: 3, runs: Uint32Array.of(0, 3, 2, 1), label: 'sky', color: classColor(7) },
    ]);
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
