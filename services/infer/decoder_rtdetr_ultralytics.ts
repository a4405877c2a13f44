import { bestClass } from './best_class.js';
import type { Candidates } from './candidates.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** RT-DETR as Ultralytics exports it: [queries, 4 + classes] of cx, cy, w, h from 0 to 1, classes after sigmoid. */
export class RtdetrUltralyticsDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'rtdetr-ultralytics'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'rtdetr-ultralytics'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'rtdetr-ultralytics', outputs, {
      [this.#options.output]: [batch, 'Q', 4 + this.#manifest.classes],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data, dims } = floatsOf(outputs, this.#options.output);
    const classes = thresholds.length;
    const size = (dims[1] ?? 0) * (4 + classes);
    for (let row = frame * size; row < (frame + 1) * size; row += 4 + classes) {
      const [from, to] = this.#options.multiLabel ? [0, classes] : onlyOne(bestClass(data, row + 4, classes));
      for (let index = from; index < to; index++) {
        const score = data[row + 4 + index] as number;
        if (score > (thresholds[index] as number)) this.#push(data, row, score, index, into.boxes);
      }
    }
  }

  #push(data: Float32Array, row: number, score: number, index: number, into: Candidates): void {
    const { width, height } = this.#manifest.input;
    const [x, y] = [(data[row] as number) * width, (data[row + 1] as number) * height];
    const [w, h] = [(data[row + 2] as number) * width, (data[row + 3] as number) * height];
    into.push(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index);
  }
}

const onlyOne = (index: number): [number, number] => [index, index + 1];
