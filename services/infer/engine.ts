import type { OutputTensors } from './decoder.js';

/** Runs a model on the calling thread, which it blocks. */
export interface Engine {
  /** For the log. */
  readonly description: string;
  /**
   * Runs the first `batch` pictures of the input that was given when the engine
   * was made. The outputs are valid until the next run.
   */
  run(batch: number): Promise<OutputTensors>;
  close(): Promise<void>;
}
