import type { Candidates } from './candidates.js';
import { SsdDecoder } from './decoder_ssd.js';
import { YoloxDecoder } from './decoder_yolox.js';
import { Yolov8Decoder } from './decoder_yolov8.js';
import type { ModelManifest } from '../../models/manifest.js';

/** One output of a model for a whole batch. */
export interface OutputTensor {
  data: Float32Array;
  dims: readonly number[];
}

/** A model's outputs by name. */
export type OutputTensors = Readonly<Record<string, OutputTensor>>;

/** Reads boxes out of what a model returned. */
export interface Decoder {
  /** Refuses outputs that do not fit the manifest, with both shapes in the message (MODEL_SHAPE). */
  check(outputs: OutputTensors, batch: number): void;
  /**
   * Appends the boxes of one frame of the batch whose score is above their class's threshold.
   *
   * @param thresholds one number a class; infinite for classes that nobody wants
   */
  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Candidates): void;
}

/** The decoder that a manifest declares; its kind is never guessed from shapes. */
export function createDecoder(manifest: ModelManifest): Decoder {
  const { decoder } = manifest;
  switch (decoder.kind) {
    case 'ssd':
      return new SsdDecoder(manifest, decoder);
    case 'yolox':
      return new YoloxDecoder(manifest, decoder);
    case 'yolov8':
      return new Yolov8Decoder(manifest, decoder);
  }
}
