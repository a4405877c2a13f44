import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, INDEX_TYPES, outputOf, type OutputTensors } from './output_tensor.js';
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
    const boxes = floatsOf(outputs, this.#options.boxes).data;
    const { data: scores, dims } = floatsOf(outputs, this.#options.scores);
    const labels = outputOf(outputs, this.#options.labels).data;
    const most = dims[1] ?? 0;
    const count = Math.min(most, Number(outputOf(outputs, this.#options.count).data[frame]));
    const { width, height } = this.#manifest.input;
    const [x, y] = this.#options.boxOrder === 'yxyx' ? [1, 0] : [0, 1];
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
}
