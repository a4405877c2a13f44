import type { Decoder } from './decoder.js';
import type { Findings } from './findings.js';
import { floatsOf, type OutputTensors } from './output_tensor.js';
import { checkShapes } from './tensor_shape.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';

/** Right eye, left eye, nose tip, right and left corner of the mouth. */
const LANDMARKS = 5;

const clamp01 = (value: number): number => Math.min(1, Math.max(0, value));

/**
 * YuNet: for every stride, cells × (class, objectness, box, landmarks), x
 * fastest. score = √(class · objectness), centre = (offset + cell) · stride,
 * size = exp(·) · stride, landmark = (offset + cell) · stride.
 * Source: OpenCV's FaceDetectorYN.
 */
export class YunetDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'yunet'>;
  readonly #landmarks = new Float32Array(LANDMARKS * 2);

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'yunet'>) {
    this.#manifest = manifest;
    this.#options = options;
  }

  check(outputs: OutputTensors, batch: number): void {
    const expected = this.#options.strides.map((stride) => {
      const { columns, rows } = this.#grid(stride);
      const cells = columns * rows;
      return {
        [`cls_${stride}`]: [batch, cells, 1],
        [`obj_${stride}`]: [batch, cells, 1],
        [`bbox_${stride}`]: [batch, cells, 4],
        [`kps_${stride}`]: [batch, cells, LANDMARKS * 2],
      };
    });
    checkShapes(this.#manifest.name, 'yunet', outputs, Object.assign({}, ...expected) as Record<string, number[]>);
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    for (const stride of this.#options.strides) this.#decodeGrid(outputs, frame, stride, thresholds[0] as number, into);
  }

  #grid(stride: number): { columns: number; rows: number } {
    const { width, height } = this.#manifest.input;
    return { columns: Math.floor(width / stride), rows: Math.floor(height / stride) };
  }

  #decodeGrid(outputs: OutputTensors, frame: number, stride: number, threshold: number, into: Findings): void {
    const classes = floatsOf(outputs, `cls_${stride}`).data;
    const objectness = floatsOf(outputs, `obj_${stride}`).data;
    const boxes = floatsOf(outputs, `bbox_${stride}`).data;
    const points = floatsOf(outputs, `kps_${stride}`).data;
    const { columns, rows } = this.#grid(stride);
    for (let row = 0, cell = frame * rows * columns; row < rows; row++) {
      for (let column = 0; column < columns; column++, cell++) {
        const score = Math.sqrt(clamp01(classes[cell] as number) * clamp01(objectness[cell] as number));
        if (!(score > threshold)) continue;
        const [x, y] = [((boxes[cell * 4] as number) + column) * stride, ((boxes[cell * 4 + 1] as number) + row) * stride];
        const [w, h] = [Math.exp(boxes[cell * 4 + 2] as number) * stride, Math.exp(boxes[cell * 4 + 3] as number) * stride];
        into.boxes.push(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, 0);
        for (let index = 0; index < LANDMARKS * 2; index++) {
          const place = index % 2 === 0 ? column : row;
          this.#landmarks[index] = ((points[cell * LANDMARKS * 2 + index] as number) + place) * stride;
        }
        into.boxes.setLandmarks(this.#landmarks);
      }
    }
  }
}
