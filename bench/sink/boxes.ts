import type { FrameFormat } from '../../native/contract.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';

/** Objects in each picture. */
export const BOXES = 8;

const LABELS = ['person', 'car', 'bicycle'];

/** Objects that walk, each at a height of its own. */
export function boxes(seq: number, { width, height }: FrameFormat): Partial<Detection>[] {
  const [boxWidth, boxHeight] = [width / 12, height / 6];
  return Array.from({ length: BOXES }, (_, index) => ({
    box: { x: (seq * 3 + (index * width) / BOXES) % (width - boxWidth), y: (index * (height - boxHeight)) / BOXES, width: boxWidth, height: boxHeight },
    classId: index % LABELS.length,
    label: LABELS[index % LABELS.length] ?? '',
    confidence: 0.8,
  }));
}
