import { FramebusError } from '../../lib/errors.js';
import type { Decoder } from './decoder.js';
import type { Findings, RawTensor } from './findings.js';
import type { OutputTensor, OutputTensors } from './output_tensor.js';
import { formatOutputs, formatShape } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Hands outputs on as they are, each frame its part of the batch. */
export class RawDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'raw'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'raw'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const { name } = this.#manifest;
    for (const output of this.#names(outputs)) {
      const tensor = outputs[output];
      if (tensor === undefined) {
        throw new FramebusError('MODEL_SHAPE', `model ${name}: decoder raw reads an output "${output}"; the model has ${formatOutputs(outputs)}`);
      }
      if (tensor.dims[0] === batch) continue;
      throw new FramebusError(
        'MODEL_SHAPE',
        `model ${name}: output "${output}" is ${formatShape(tensor.dims)}, decoder raw expects ${formatShape([batch, '…'])}: one part a frame`,
      );
    }
    checkBytes(name, this.#options.maxBytes, this.#tensors(outputs, 0));
  }

  decode(outputs: OutputTensors, frame: number, _thresholds: Float64Array, into: Findings): void {
    const tensors = this.#tensors(outputs, frame);
    // Sizes may depend on what is in the picture.
    checkBytes(this.#manifest.name, this.#options.maxBytes, tensors);
    into.tensors.push(...tensors);
  }

  #names(outputs: OutputTensors): readonly string[] {
    return this.#options.outputs ?? Object.keys(outputs);
  }

  #tensors(outputs: OutputTensors, frame: number): RawTensor[] {
    return this.#names(outputs).flatMap((name) => {
      const tensor = outputs[name];
      return tensor === undefined ? [] : [partOf(name, tensor, frame)];
    });
  }
}

/** @throws MODEL_SHAPE when a frame's tensors are larger than what the manifest allows */
export function checkBytes(model: string, maxBytes: number, tensors: readonly RawTensor[]): void {
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes.byteLength, 0);
  if (bytes <= maxBytes) return;
  const shapes = tensors.map(({ name, type, dims }) => `${name} ${type} ${formatShape(dims)}`).join(', ');
  throw new FramebusError('MODEL_SHAPE', `model ${model}: a frame's tensors take ${bytes} bytes, decoder.max_bytes is ${maxBytes}: ${shapes}`, {
    remedy: 'Name the outputs that are needed in decoder.outputs, or raise decoder.max_bytes.',
  });
}

/** A view of one frame's part. */
function partOf(name: string, { type, data, dims }: OutputTensor, frame: number): RawTensor {
  const rest = dims.slice(1);
  const bytes = rest.reduce((product, length) => product * length, data.BYTES_PER_ELEMENT);
  return { name, type, dims: rest, bytes: new Uint8Array(data.buffer, data.byteOffset + frame * bytes, bytes) };
}
