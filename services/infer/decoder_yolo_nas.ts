import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

const COLUMNS = 7;

/**
 * YOLO-NAS with its flat output: rows of picture, x1, y1, x2, y2 in network
 * pixels, score, class; the rows of all pictures of the batch in one list, which
 * a class below 0 may end. Source: super-gradients' export.
 */
export class YoloNasDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'yolo-nas'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'yolo-nas'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors): void {
    checkShapes(this.#manifest.name, 'yolo-nas', outputs, { [this.#options.output]: ['K', COLUMNS] });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data } = floatsOf(outputs, this.#options.output);
    for (let row = 0; row < data.length; row += COLUMNS) {
      const [score, index] = [data[row + 5] as number, data[row + 6] as number];
      if (index < 0) return;
      if (data[row] !== frame || !(score > (thresholds[index] ?? Number.NaN))) continue;
      into.boxes.push(data[row + 1] as number, data[row + 2] as number, data[row + 3] as number, data[row + 4] as number, score, index);
    }
  }
}
