import type { OutputTensors } from './decoder.js';
import type { InputTensorData, TensorInfo } from './tensor_inference.js';

/** Runs a model on the calling thread, which it blocks. */
export interface Engine {
  /** For the log. */
  readonly description: string;
  /**
   * Runs the first `batch` pictures of the input that was given when the engine
   * was made. The outputs are valid until the next run.
   */
  run(batch: number): Promise<OutputTensors>;
  /** Inputs and outputs of the model as the engine has them. */
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Runs tensors of a client instead; the outputs are valid until the next run. @throws ENGINE_FAILED */
  runTensors(inputs: ReadonlyMap<string, InputTensorData>): Promise<OutputTensors>;
  close(): Promise<void>;
}
