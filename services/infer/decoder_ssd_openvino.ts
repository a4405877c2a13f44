import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

const COLUMNS = 7;

/**
 * SSD of OpenVINO (DetectionOutput): rows of picture, class, score, x1, y1, x2,
 * y2 from 0 to 1, those of all pictures in one list that a picture below 0 ends.
 */
export class SsdOpenvinoDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'ssd-openvino'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'ssd-openvino'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors): void {
    checkShapes(this.#manifest.name, 'ssd-openvino', outputs, { [this.#options.output]: [1, 1, 'K', COLUMNS] });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data } = floatsOf(outputs, this.#options.output);
    const { width, height } = this.#manifest.input;
    for (let row = 0; row < data.length; row += COLUMNS) {
      const picture = data[row] as number;
      if (picture < 0) return;
      const [index, score] = [data[row + 1] as number, data[row + 2] as number];
      if (picture !== frame || !(score > (thresholds[index] ?? Number.NaN))) continue;
      into.boxes.push(
        (data[row + 3] as number) * width,
        (data[row + 4] as number) * height,
        (data[row + 5] as number) * width,
        (data[row + 6] as number) * height,
        score,
        index,
      );
    }
  }
}
