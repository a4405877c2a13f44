import type { Candidates } from './candidates.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Outputs of a DETR for one frame. */
export interface DetrFrame {
  /** [queries, classes] before sigmoid. */
  logits: Float32Array;
  /** [queries, 4]: cx, cy, w, h, 0 to 1 of the network's picture. */
  boxes: Float32Array;
  /** Size of the network's picture in pixels. */
  width: number;
  height: number;
}

/** Far more than what rounding can make of a threshold. */
const MARGIN = 1e-3;

/** Logits that certainly do not pass: the exponential is calculated for few. */
function lowestLogits(thresholds: Float64Array): Float64Array {
  return thresholds.map((threshold) => {
    if (threshold >= 1) return Number.POSITIVE_INFINITY;
    return threshold <= 0 ? Number.NEGATIVE_INFINITY : Math.log(threshold / (1 - threshold)) - MARGIN;
  });
}

/**
 * score = sigmoid(logit). Every class of a query counts by itself: the best of
 * all queries × classes are reported, as RT-DETR's, D-FINE's and RF-DETR's own
 * post-processing has it.
 */
export function decodeDetr({ logits, boxes, width, height }: DetrFrame, thresholds: Float64Array, into: Candidates): void {
  const classes = thresholds.length;
  const lowest = lowestLogits(thresholds);
  for (let query = 0, offset = 0; offset < logits.length; query++) {
    for (let index = 0; index < classes; index++, offset++) {
      const logit = logits[offset] as number;
      if (!(logit > (lowest[index] as number))) continue;
      const score = 1 / (1 + Math.exp(-logit));
      if (!(score > (thresholds[index] as number))) continue;
      const [x, y] = [(boxes[query * 4] as number) * width, (boxes[query * 4 + 1] as number) * height];
      const [w, h] = [(boxes[query * 4 + 2] as number) * width, (boxes[query * 4 + 3] as number) * height];
      into.push(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index);
    }
  }
}

/** RT-DETR and D-FINE without post-processing, and RF-DETR: logits and boxes of queries. */
export class DetrDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'rtdetr-raw' | 'rfdetr'>;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'rtdetr-raw' | 'rfdetr'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const { kind, logits, boxes } = this.#options;
    checkShapes(this.#manifest.name, kind, outputs, {
      [logits]: [batch, 'Q', this.#manifest.classes],
      [boxes]: [batch, 'Q', 4],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const logits = floatsOf(outputs, this.#options.logits);
    const boxes = floatsOf(outputs, this.#options.boxes).data;
    const queries = logits.dims[1] ?? 0;
    const size = queries * thresholds.length;
    const { width, height } = this.#manifest.input;
    decodeDetr(
      {
        logits: logits.data.subarray(frame * size, (frame + 1) * size),
        boxes: boxes.subarray(frame * queries * 4, (frame + 1) * queries * 4),
        width,
        height,
      },
      thresholds,
      into.boxes,
    );
  }
}
