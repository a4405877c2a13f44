import { bestClass } from './best_class.js';
import type { Candidates } from './candidates.js';
import type { Decoder } from './decoder.js';
import { cellCount } from './decoder_yolox.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/**
 * Rows [boxes, 5 + classes]: cx, cy, w, h in network pixels, objectness, classes,
 * all after sigmoid; score = objectness · class. Source: Ultralytics' export of
 * YOLOv5, and YOLOv7's (layout only).
 */
export function decodeYolov5(rows: Float32Array, thresholds: Float64Array, multiLabel: boolean, into: Candidates): void {
  const classes = thresholds.length;
  const lowest = Math.min(...thresholds);
  for (let offset = 0; offset < rows.length; offset += 5 + classes) {
    // A class's score is at most 1, so the product cannot pass.
    if (!((rows[offset + 4] as number) > lowest)) continue;
    if (!multiLabel) {
      pushBox(rows, offset, bestClass(rows, offset + 5, classes), thresholds, into);
      continue;
    }
    for (let index = 0; index < classes; index++) pushBox(rows, offset, index, thresholds, into);
  }
}

function pushBox(rows: Float32Array, offset: number, index: number, thresholds: Float64Array, into: Candidates): void {
  const score = (rows[offset + 4] as number) * (rows[offset + 5 + index] as number);
  if (!(score > (thresholds[index] as number))) return;
  const [x, y] = [rows[offset] as number, rows[offset + 1] as number];
  const [w, h] = [rows[offset + 2] as number, rows[offset + 3] as number];
  into.push(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index);
}

/** YOLOv5 and v7: one output, rows of box, objectness and classes. */
export class Yolov5Decoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'yolov5'>;
  readonly #boxes: number;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'yolov5'>) {
    this.#manifest = manifest;
    this.#options = options;
    this.#boxes = options.anchors * cellCount(manifest.input.width, manifest.input.height, options.strides);
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'yolov5', outputs, {
      [this.#options.output]: [batch, this.#boxes, 5 + this.#manifest.classes],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data } = floatsOf(outputs, this.#options.output);
    const size = this.#boxes * (5 + thresholds.length);
    decodeYolov5(data.subarray(frame * size, (frame + 1) * size), thresholds, this.#options.multiLabel, into.boxes);
  }
}
