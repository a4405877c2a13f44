import { decodeCountedBoxes } from './counted_boxes.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { INDEX_TYPES, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** TensorRT's EfficientNMS plugin at the end of the graph, whatever the detector before it. */
export class EfficientNmsDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'efficient-nms'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'efficient-nms'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const { boxes, scores, labels, count } = this.#options;
    checkShapes(this.#manifest.name, 'efficient-nms', outputs, {
      [count]: { dims: [batch, 1], types: INDEX_TYPES },
      [boxes]: [batch, 'K', 4],
      [scores]: [batch, 'K'],
      [labels]: { dims: [batch, 'K'], types: INDEX_TYPES },
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const unit = this.#options.boxUnit === 'unit' ? this.#manifest.input : { width: 1, height: 1 };
    decodeCountedBoxes(outputs, this.#options, frame, unit, thresholds, into);
  }
}
