import { describe, expect, it } from 'vitest';
import { HeldOverlay } from '../../../services/sink/held_overlay.js';
import { emptyOverlay } from '../../../services/sink/overlay.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';

const MS = 1_000_000n;
const { INFERENCE_STATUS_INFERRED: INFERRED, INFERENCE_STATUS_SUPERSEDED: SUPERSEDED } = InferenceStatus;

const area = { x: 0, y: 0, width: 8, height: 8 };
const seen = ResultMessage.fromPartial({
  status: INFERRED,
  detections: [{ box: area, label: 'person', confidence: 0.9, landmarks: [{ x: 1, y: 2 }] }],
  masks: [{ classId: 1, width: 2, height: 2, area, runs: [1, 2] }],
});
const nothing = ResultMessage.fromPartial({ status: INFERRED });
const unseen = ResultMessage.fromPartial({ status: SUPERSEDED });

describe('HeldOverlay', () => {
  it('keeps masks, points and boxes for a moment on frames that nobody looked at', () => {
    const held = new HeldOverlay({ color: 'class', label: ['name'] });
    expect(held.next(unseen, 0n)).toEqual(emptyOverlay());
    const overlay = held.next(seen, 100n * MS);
    expect([overlay.masks.length, overlay.points.length, overlay.boxes.length]).toEqual([1, 1, 1]);
    expect(held.next(unseen, 200n * MS)).toEqual(overlay);
    expect(held.next(unseen, 500n * MS)).toEqual(overlay);
    expect(held.next(unseen, 501n * MS)).toEqual(emptyOverlay());
  });

  it('drops them at once when somebody looked and saw nothing', () => {
    const held = new HeldOverlay({ color: 'class', label: ['name'] });
    held.next(seen, 0n);
    expect(held.next(nothing, 100n * MS)).toEqual(emptyOverlay());
    expect(held.next(unseen, 200n * MS)).toEqual(emptyOverlay());
  });

  it('draws tracked objects where they are expected, and holds only the others', () => {
    const held = new HeldOverlay({ color: 'class', label: ['name'] });
    const tracked = { box: { ...area, x: 20 }, label: 'car', trackId: 5n };
    held.next(ResultMessage.fromPartial({ ...seen, detections: [...seen.detections, tracked] }), 0n);
    const moved = { box: { ...area, x: 30 }, label: 'car', trackId: 5n, predicted: true };
    const { boxes } = held.next(ResultMessage.fromPartial({ status: SUPERSEDED, detections: [moved] }), 50n * MS);
    expect(boxes.map(({ x }) => x).toSorted((a, b) => a - b)).toEqual([0, 30]);
  });
});
