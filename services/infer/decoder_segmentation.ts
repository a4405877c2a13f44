import { bestClass } from './best_class.js';
import type { Decoder } from './decoder.js';
import type { ClassMap, Findings } from './findings.js';
import { floatsOf, INDEX_TYPES, outputOf, type OutputTensor, type OutputTensors } from './output_tensor.js';
import { checkShapes, type ExpectedTensor } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Pixels that are looked at together, so that what is known of them stays in the first cache. */
const TILE = 2048;

/** Semantic segmentation: the best class of every pixel of the output, which need not have the network's size. */
export class SegmentationDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'segmentation'>;
  #classes = new Int32Array(0);
  /** Best scores of a tile so far. */
  readonly #best = new Float32Array(TILE);

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

  #map(outputs: OutputTensors, frame: number, classes: number): ClassMap {
    const tensor = outputOf(outputs, this.#options.output);
    const { layout } = this.#options;
    const [height = 0, width = 0] = layout === 'nchw' ? tensor.dims.slice(2) : tensor.dims.slice(1);
    const pixels = width * height;
    if (this.#classes.length !== pixels) this.#classes = new Int32Array(pixels);
    if (layout === 'map') return { width, height, classes: this.#copy(tensor, frame * pixels) };
    const { data } = floatsOf(outputs, this.#options.output);
    const scores = data.subarray(frame * pixels * classes, (frame + 1) * pixels * classes);
    if (layout === 'nhwc') {
      for (let pixel = 0; pixel < pixels; pixel++) this.#classes[pixel] = bestClass(scores, pixel * classes, classes);
    } else {
      this.#bestOfPlanes(scores, pixels, classes);
    }
    return { width, height, classes: this.#classes };
  }

  #copy({ data }: OutputTensor, from: number): Int32Array {
    for (let pixel = 0; pixel < this.#classes.length; pixel++) this.#classes[pixel] = Number(data[from + pixel]);
    return this.#classes;
  }

  /** Walks plane by plane, tile by tile. */
  #bestOfPlanes(scores: Float32Array, pixels: number, classes: number): void {
    const best = this.#best;
    for (let from = 0; from < pixels; from += TILE) {
      const tile = this.#classes.subarray(from, Math.min(pixels, from + TILE));
      best.set(scores.subarray(from, from + tile.length));
      tile.fill(0);
      for (let index = 1; index < classes; index++) {
        const plane = index * pixels + from;
        for (let pixel = 0; pixel < tile.length; pixel++) {
          const score = scores[plane + pixel] as number;
          if (score <= (best[pixel] as number)) continue;
          best[pixel] = score;
          tile[pixel] = index;
        }
      }
    }
  }
}
