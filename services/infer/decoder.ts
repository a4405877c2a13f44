import type { ModelManifest } from '../../models/manifest.js';
import type { Findings } from './findings.js';
import type { OutputTensors } from './output_tensor.js';

/**
 * Reads findings out of what a model returned. One object serves all frames of
 * an executor, one after the other, on the executor's thread.
 *
 * Boxes are given in pixels of the network's picture, classes as channels of the
 * model (keys of `labels`). Suppression, `top_k`, the way back to the frame and
 * names are the caller's.
 */
export interface Decoder {
  /**
   * Refuses outputs that do not fit, when the model is loaded: by throwing, with
   * what it has found and what it needs in the message.
   *
   * @param batch pictures of the batch that made the outputs
   */
  check(outputs: OutputTensors, batch: number): void;
  /**
   * Appends what is in one frame of the batch: boxes, classes, a class map or
   * tensors, as the manifest's `task` says. A score counts when it is above its
   * class's threshold. The outputs are valid during the call only.
   *
   * @param frame number of the frame in the batch, from 0
   * @param thresholds one number a channel; infinite for classes that nobody wants
   */
  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void;
}

/** What a user's module is given; see examples/decoder. */
export interface DecoderContext {
  manifest: ModelManifest;
  /** `decoder.options` of the manifest, as written. */
  options: Readonly<Record<string, unknown>>;
}

/** A user's module: `export function createDecoder(context)`, async if it likes. */
export interface DecoderModule {
  createDecoder(context: DecoderContext): Decoder | Promise<Decoder>;
}

export type { Findings } from './findings.js';
export type { OutputTensor, OutputTensors } from './output_tensor.js';
