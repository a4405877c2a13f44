import type { Candidates } from './candidates.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Outputs of an SSD for one frame. */
export interface SsdFrame {
  /** [anchors, 4], 0 to 1 of the network's picture. */
  boxes: Float32Array;
  /** [anchors, classes], after sigmoid or softmax. */
  scores: Float32Array;
  /** Order of a box: TensorFlow writes y1, x1, y2, x2. */
  boxOrder: 'yxyx' | 'xyxy';
  /** Size of the network's picture in pixels. */
  width: number;
  height: number;
}

/** A box may pass for several classes: suppression and people see each of them. */
export function decodeSsd(frame: SsdFrame, thresholds: Float64Array, into: Candidates): void {
  const { boxes, scores, width, height } = frame;
  const classes = thresholds.length;
  const [x, y] = frame.boxOrder === 'yxyx' ? [1, 0] : [0, 1];
  for (let offset = 0; offset < scores.length; offset += classes) {
    for (let index = 0; index < classes; index++) {
      const score = scores[offset + index] as number;
      if (score > (thresholds[index] as number)) {
        const box = (offset / classes) * 4;
        into.push(
          (boxes[box + x] as number) * width,
          (boxes[box + y] as number) * height,
          (boxes[box + 2 + x] as number) * width,
          (boxes[box + 2 + y] as number) * height,
          score,
          index,
        );
      }
    }
  }
}

type SsdOptions = DecoderOptionsOf<'ssd'> | DecoderOptionsOf<'ultraface'>;

/**
 * SSD with its boxes already put together from the anchors: two outputs, boxes and scores.
 * UltraFace is one of two channels whose boxes are x1, y1, x2, y2; the label of channel 1 is the face's.
 */
export class SsdDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: SsdOptions;

  constructor(manifest: ModelManifest, options: SsdOptions) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, this.#options.kind, outputs, {
      [this.#options.boxes]: [batch, 'A', 4],
      [this.#options.scores]: [batch, 'A', this.#manifest.classes],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const boxes = floatsOf(outputs, this.#options.boxes);
    const scores = floatsOf(outputs, this.#options.scores);
    const anchors = boxes.dims[1] ?? 0;
    const { width, height } = this.#manifest.input;
    decodeSsd(
      {
        boxes: boxes.data.subarray(frame * anchors * 4, (frame + 1) * anchors * 4),
        scores: scores.data.subarray(frame * anchors * thresholds.length, (frame + 1) * anchors * thresholds.length),
        boxOrder: this.#options.kind === 'ssd' ? this.#options.boxOrder : 'xyxy',
        width,
        height,
      },
      thresholds,
      into.boxes,
    );
  }
}
