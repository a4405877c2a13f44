import { Candidates } from './candidates.js';
import type { TensorType } from './output_tensor.js';

/** A class of a frame as a whole. */
export interface ClassScore {
  /** Channel of the model. */
  classIndex: number;
  /** 0 to 1. */
  score: number;
}

/** A class for every cell of a grid over the network's picture. */
export interface ClassMap {
  width: number;
  height: number;
  /** Channels of the model, row by row from the top left; what has no label stands for nothing. */
  classes: Uint8Array | Uint16Array | Int32Array;
}

/** An output of one frame, handed on as it is. */
export interface RawTensor {
  name: string;
  type: TensorType;
  /** Without the dimension of the batch. */
  dims: number[];
  /** Little-endian, row by row. */
  bytes: Uint8Array;
}

/** What a decoder has found in one frame; reused from frame to frame. */
export class Findings {
  /** task: detect. */
  readonly boxes = new Candidates();
  /** task: classify. */
  readonly classes: ClassScore[] = [];
  /** task: segment. Its memory may be the decoder's own, used again for the next frame. */
  map: ClassMap | null = null;
  /** task: raw. */
  readonly tensors: RawTensor[] = [];

  clear(): void {
    this.boxes.clear();
    this.classes.length = 0;
    this.map = null;
    this.tensors.length = 0;
  }
}
