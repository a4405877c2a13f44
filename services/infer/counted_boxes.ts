import type { Findings } from './findings.js';
import { floatsOf, outputOf, type OutputTensors } from './output_tensor.js';

/** Names of the outputs of a graph that suppresses by itself, and the order of a box's numbers. */
export interface CountedBoxesOptions {
  /** [B, K, 4] */
  boxes: string;
  /** [B, K] */
  scores: string;
  /** [B, K]: class numbers. */
  labels: string;
  /** One number a frame: the rows that count; what lies after them need not be written. */
  count: string;
  boxOrder: 'xyxy' | 'yxyx';
}

/** Appends the boxes of one frame of a batch; `unit`: network pixels of 1 in a box. */
export function decodeCountedBoxes(
  outputs: OutputTensors,
  options: CountedBoxesOptions,
  frame: number,
  { width, height }: { width: number; height: number },
  thresholds: Float64Array,
  into: Findings,
): void {
  const boxes = floatsOf(outputs, options.boxes).data;
  const { data: scores, dims } = floatsOf(outputs, options.scores);
  const labels = outputOf(outputs, options.labels).data;
  const most = dims[1] ?? 0;
  const count = Math.min(most, Number(outputOf(outputs, options.count).data[frame]));
  const [x, y] = options.boxOrder === 'yxyx' ? [1, 0] : [0, 1];
  for (let row = frame * most; row < frame * most + count; row++) {
    const [score, index] = [scores[row] as number, Number(labels[row])];
    if (!(score > (thresholds[index] ?? Number.NaN))) continue;
    into.boxes.push(
      (boxes[row * 4 + x] as number) * width,
      (boxes[row * 4 + y] as number) * height,
      (boxes[row * 4 + 2 + x] as number) * width,
      (boxes[row * 4 + 2 + y] as number) * height,
      score,
      index,
    );
  }
}
