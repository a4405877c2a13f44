import type { Decoder } from './decoder.js';
import { decodeSsd } from './decoder_ssd.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** UltraFace: an SSD of two channels whose boxes are x1, y1, x2, y2; the label of channel 1 is the face's. */
export class UltrafaceDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'ultraface'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'ultraface'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'ultraface', outputs, {
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
        boxOrder: 'xyxy',
        width,
        height,
      },
      thresholds,
      into.boxes,
    );
  }
}
