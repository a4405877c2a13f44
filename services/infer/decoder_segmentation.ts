import type { Decoder } from './decoder.js';
import type { ClassMap, Findings } from './findings.js';
import { floatsOf, INDEX_TYPES, outputOf, type OutputTensor, type OutputTensors } from './output_tensor.js';
import { checkShapes, type ExpectedTensor } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';
import { argmax } from '../../native/index.js';

/** Semantic segmentation: the best class of every pixel of the output, which need not have the network's size. */
export class SegmentationDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'segmentation'>;
  /** Of the frame before; used again. */
  #classes: ClassMap['classes'] = new Uint8Array(0);

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'segmentation'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const { classes } = this.#manifest;
    const expected: Record<DecoderOptionsOf<'segmentation'>['layout'], ExpectedTensor> = {
      nchw: [batch, classes, 'h', 'w'],
      nhwc: [batch, 'h', 'w', classes],
      map: { dims: [batch, 'h', 'w'], types: INDEX_TYPES },
    };
    checkShapes(this.#manifest.name, 'segmentation', outputs, { [this.#options.output]: expected[this.#options.layout] });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    into.map = this.#map(outputs, frame, thresholds.length);
  }

  #map(outputs: OutputTensors, frame: number, channels: number): ClassMap {
    const tensor = outputOf(outputs, this.#options.output);
    const { layout } = this.#options;
    const [height = 0, width = 0] = layout === 'nchw' ? tensor.dims.slice(2) : tensor.dims.slice(1);
    const pixels = width * height;
    if (layout === 'map') return { width, height, classes: this.#copy(tensor, frame * pixels, pixels) };
    const { data } = floatsOf(outputs, this.#options.output);
    const scores = data.subarray(frame * pixels * channels, (frame + 1) * pixels * channels);
    return { width, height, classes: this.#best(scores, channels, pixels, layout) };
  }

  #best(scores: Float32Array, channels: number, pixels: number, layout: 'nchw' | 'nhwc'): ClassMap['classes'] {
    const Numbers = channels <= 256 ? Uint8Array : Uint16Array;
    const into = this.#classes instanceof Numbers && this.#classes.length === pixels ? this.#classes : new Numbers(pixels);
    argmax(scores, channels, pixels, layout, into);
    this.#classes = into;
    return into;
  }

  #copy({ data }: OutputTensor, from: number, pixels: number): ClassMap['classes'] {
    const into = this.#classes instanceof Int32Array && this.#classes.length === pixels ? this.#classes : new Int32Array(pixels);
    for (let pixel = 0; pixel < pixels; pixel++) into[pixel] = Number(data[from + pixel]);
    this.#classes = into;
    return into;
  }
}
