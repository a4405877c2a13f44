import { bestClass } from './best_class.js';
import type { Candidates } from './candidates.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Output of a YOLOX for one frame. */
export interface YoloxFrame {
  /** [cells, 5 + classes]: x, y, w, h, objectness, classes; all scores after sigmoid. */
  rows: Float32Array;
  /** Size of the network's picture in pixels. */
  width: number;
  height: number;
  /** Grids in the order of the rows; in a grid, x runs fastest. */
  strides: readonly number[];
  /** Whether the graph itself has applied grid, stride and exp. */
  decoded: boolean;
  /** Report every class above its threshold, not the best one only. */
  multiLabel: boolean;
}

/** Number of cells of all grids. */
export function cellCount(width: number, height: number, strides: readonly number[]): number {
  return strides.reduce((sum, stride) => sum + Math.floor(width / stride) * Math.floor(height / stride), 0);
}

/**
 * Centre = (offset + cell) · stride, size = exp(·) · stride, score = objectness
 * · best class. Source: YOLOX, `demo_postprocess` of its ONNX example.
 */
export function decodeYolox(frame: YoloxFrame, thresholds: Float64Array, into: Candidates): void {
  const { rows, width, height, strides } = frame;
  const columns = 5 + thresholds.length;
  const lowest = Math.min(...thresholds);
  let offset = 0;
  for (const stride of strides) {
    const [gridWidth, gridHeight] = [Math.floor(width / stride), Math.floor(height / stride)];
    for (let row = 0; row < gridHeight; row++) {
      for (let column = 0; column < gridWidth; column++, offset += columns) {
        const objectness = rows[offset + 4] as number;
        // A class's score is at most 1, so the product cannot pass.
        if (!(objectness > lowest)) continue;
        if (frame.multiLabel) {
          for (let index = 0; index < thresholds.length; index++) pushCell(frame, offset, index, thresholds, { column, row, stride }, into);
        } else {
          pushCell(frame, offset, bestClass(rows, offset + 5, thresholds.length), thresholds, { column, row, stride }, into);
        }
      }
    }
  }
}

function pushCell(
  { rows, decoded }: YoloxFrame,
  offset: number,
  index: number,
  thresholds: Float64Array,
  { column, row, stride }: { column: number; row: number; stride: number },
  into: Candidates,
): void {
  const score = (rows[offset + 4] as number) * (rows[offset + 5 + index] as number);
  if (!(score > (thresholds[index] as number))) return;
  let [x, y, w, h] = [rows[offset] as number, rows[offset + 1] as number, rows[offset + 2] as number, rows[offset + 3] as number];
  if (!decoded) {
    x = (x + column) * stride;
    y = (y + row) * stride;
    w = Math.exp(w) * stride;
    h = Math.exp(h) * stride;
  }
  into.push(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index);
}

/** YOLOX: one output, rows of box, objectness and classes. */
export class YoloxDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'yolox'>;
  readonly #cells: number;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'yolox'>) {
    this.#manifest = manifest;
    this.#options = options;
    this.#cells = cellCount(manifest.input.width, manifest.input.height, options.strides);
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'yolox', outputs, {
      [this.#options.output]: [batch, this.#cells, 5 + this.#manifest.classes],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data } = floatsOf(outputs, this.#options.output);
    const size = this.#cells * (5 + thresholds.length);
    const { width, height } = this.#manifest.input;
    const { strides, decoded, multiLabel } = this.#options;
    const rows = data.subarray(frame * size, (frame + 1) * size);
    decodeYolox({ rows, width, height, strides, decoded, multiLabel }, thresholds, into.boxes);
  }
}
