import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

const COLUMNS = 6;

/** YOLOv10, YOLO26: rows of x1, y1, x2, y2 in network pixels, score, class; suppressed in the graph. */
export class YoloE2eDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'yolo-e2e'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'yolo-e2e'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'yolo-e2e', outputs, { [this.#options.output]: [batch, 'K', COLUMNS] });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data, dims } = floatsOf(outputs, this.#options.output);
    const size = (dims[1] ?? 0) * COLUMNS;
    for (let row = frame * size; row < (frame + 1) * size; row += COLUMNS) {
      const [score, index] = [data[row + 4] as number, data[row + 5] as number];
      // A class that the manifest does not know has no threshold: the comparison is false.
      if (!(score > (thresholds[index] ?? Number.NaN))) continue;
      into.boxes.push(data[row] as number, data[row + 1] as number, data[row + 2] as number, data[row + 3] as number, score, index);
    }
  }
}
