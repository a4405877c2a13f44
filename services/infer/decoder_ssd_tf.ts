import { decodeCountedBoxes } from './counted_boxes.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { INDEX_TYPES, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** SSD with TensorFlow's suppression in the graph: boxes from 0 to 1, scores, class numbers, and how many of them count. */
export class SsdTfDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'ssd-tf'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'ssd-tf'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const { boxes, scores, labels, count } = this.#options;
    checkShapes(this.#manifest.name, 'ssd-tf', outputs, {
      [boxes]: [batch, 'K', 4],
      [scores]: [batch, 'K'],
      [labels]: { dims: [batch, 'K'], types: INDEX_TYPES },
      [count]: { dims: [batch], types: INDEX_TYPES },
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    decodeCountedBoxes(outputs, this.#options, frame, this.#manifest.input, thresholds, into);
  }
}
