import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, INDEX_TYPES, outputOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/**
 * RT-DETR and D-FINE as deployed: sigmoid, top-k and scaling are in the graph.
 * Boxes come in the size that the graph was given as `orig_target_sizes`, which
 * is the network's picture (see `extra_inputs` of the manifest).
 */
export class RtdetrDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'rtdetr'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'rtdetr'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const { labels, boxes, scores } = this.#options;
    checkShapes(this.#manifest.name, 'rtdetr', outputs, {
      [labels]: { dims: [batch, 'Q'], types: INDEX_TYPES },
      [boxes]: [batch, 'Q', 4],
      [scores]: [batch, 'Q'],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const labels = outputOf(outputs, this.#options.labels).data;
    const boxes = floatsOf(outputs, this.#options.boxes).data;
    const { data: scores, dims } = floatsOf(outputs, this.#options.scores);
    const queries = dims[1] ?? 0;
    for (let query = frame * queries; query < (frame + 1) * queries; query++) {
      const [score, index] = [scores[query] as number, Number(labels[query])];
      if (!(score > (thresholds[index] ?? Number.NaN))) continue;
      const box = query * 4;
      into.boxes.push(boxes[box] as number, boxes[box + 1] as number, boxes[box + 2] as number, boxes[box + 3] as number, score, index);
    }
  }
}
