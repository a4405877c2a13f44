import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** A classifier: scores of classes for the frame as a whole. */
export class ClassificationDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'classification'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'classification'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'classification', outputs, {
      [this.#options.output]: [batch, this.#manifest.classes],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data } = floatsOf(outputs, this.#options.output);
    const numbers = data.subarray(frame * thresholds.length, (frame + 1) * thresholds.length);
    const scoreOf = scores(numbers, this.#options.activation);
    for (let classIndex = 0; classIndex < numbers.length; classIndex++) {
      const score = scoreOf(numbers[classIndex] as number);
      if (score > (thresholds[classIndex] as number)) into.classes.push({ classIndex, score });
    }
  }
}

function scores(numbers: Float32Array, activation: 'none' | 'softmax' | 'sigmoid'): (value: number) => number {
  if (activation === 'none') return (value) => value;
  if (activation === 'sigmoid') return (value) => 1 / (1 + Math.exp(-value));
  // The greatest is taken off first, because the exponential of a large logit is infinite.
  const greatest = numbers.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const sum = numbers.reduce((total, value) => total + Math.exp(value - greatest), 0);
  return (value) => Math.exp(value - greatest) / sum;
}
