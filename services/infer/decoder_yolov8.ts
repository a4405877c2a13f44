import type { Candidates } from './candidates.js';
import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { cellCount } from './decoder_yolox.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Best class of every cell so far; kept between frames. */
export class BestClasses {
  readonly scores: Float32Array;
  readonly classes: Int32Array;

  constructor(cells: number) {
    this.scores = new Float32Array(cells);
    this.classes = new Int32Array(cells);
  }
}

/**
 * [4 + classes, cells], channel after channel: cx, cy, w, h in network pixels,
 * then the classes' scores after sigmoid; no objectness. Source: Ultralytics'
 * export of YOLOv8, v9, 11 (layout only).
 */
export function decodeYolov8(channels: Float32Array, best: BestClasses, thresholds: Float64Array, into: Candidates): void {
  const cells = best.scores.length;
  findBest(channels, best, thresholds.length, Math.min(...thresholds));
  for (let cell = 0; cell < cells; cell++) {
    const score = best.scores[cell] as number;
    const index = best.classes[cell] as number;
    if (score > (thresholds[index] as number)) pushCell(channels, cells, cell, score, index, into);
  }
}

/** As `decodeYolov8`, but every class above its threshold is reported, not the best one only. */
export function decodeYolov8MultiLabel(channels: Float32Array, cells: number, thresholds: Float64Array, into: Candidates): void {
  for (const [index, threshold] of thresholds.entries()) {
    const offset = (4 + index) * cells;
    for (let cell = 0; cell < cells; cell++) {
      const score = channels[offset + cell] as number;
      if (score > threshold) pushCell(channels, cells, cell, score, index, into);
    }
  }
}

function pushCell(channels: Float32Array, cells: number, cell: number, score: number, index: number, into: Candidates): void {
  const [x, y] = [channels[cell] as number, channels[cells + cell] as number];
  const [w, h] = [channels[2 * cells + cell] as number, channels[3 * cells + cell] as number];
  into.push(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index);
}

/** Walks channel by channel, in the order of memory; most scores are not above the lowest threshold. */
function findBest(channels: Float32Array, { scores, classes }: BestClasses, count: number, lowest: number): void {
  const cells = scores.length;
  scores.fill(Number.NEGATIVE_INFINITY);
  classes.fill(0);
  for (let index = 0; index < count; index++) {
    const offset = (4 + index) * cells;
    for (let cell = 0; cell < cells; cell++) {
      const score = channels[offset + cell] as number;
      if (score > lowest && score > (scores[cell] as number)) {
        scores[cell] = score;
        classes[cell] = index;
      }
    }
  }
}

/** YOLOv8 and its kin: one output, channel-major. */
export class Yolov8Decoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'yolov8'>;
  readonly #best: BestClasses;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'yolov8'>) {
    this.#manifest = manifest;
    this.#options = options;
    this.#best = new BestClasses(cellCount(manifest.input.width, manifest.input.height, options.strides));
  }

  check(outputs: OutputTensors, batch: number): void {
    checkShapes(this.#manifest.name, 'yolov8', outputs, {
      [this.#options.output]: [batch, 4 + this.#manifest.classes, this.#best.scores.length],
    });
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    const { data } = floatsOf(outputs, this.#options.output);
    const cells = this.#best.scores.length;
    const size = (4 + thresholds.length) * cells;
    const channels = data.subarray(frame * size, (frame + 1) * size);
    if (this.#options.multiLabel) decodeYolov8MultiLabel(channels, cells, thresholds, into.boxes);
    else decodeYolov8(channels, this.#best, thresholds, into.boxes);
  }
}
