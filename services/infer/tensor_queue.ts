import { FramebusError } from '../../lib/errors.js';
import type { InputTensorData, OutputTensorData } from './tensor_inference.js';

type Inputs = ReadonlyMap<string, InputTensorData>;

/** Who can run a client's tensors. */
export interface TensorRunner {
  runTensors(inputs: Inputs): Promise<OutputTensorData[]>;
}

interface Waiting {
  inputs: Inputs;
  resolve: (outputs: OutputTensorData[] | Promise<OutputTensorData[]>) => void;
  reject: (error: Error) => void;
}

/** Requests of clients that wait for an executor; frames and they take turns. */
export class TensorQueue {
  readonly #waiting: Waiting[] = [];
  /** A batch of frames has run since the last request. */
  #isTurn = true;

  /** Whether a request should run before the next batch. */
  get isNext(): boolean {
    return this.#waiting.length > 0 && this.#isTurn;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Resolves with the outputs. @throws ENGINE_FAILED; CANCELLED when `signal` is aborted before it has started */
  add(inputs: Inputs, signal: AbortSignal): Promise<OutputTensorData[]> {
    return new Promise((resolve, reject) => {
      const cancelled = (): void => reject(new FramebusError('CANCELLED', 'the request was cancelled'));
      if (signal.aborted) return cancelled();
      const waiting: Waiting = { inputs, resolve, reject };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', () => {
        const at = this.#waiting.indexOf(waiting);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        cancelled();
      });
    });
  }

  /** Gives the oldest request to an executor that is idle. */
  start(runner: TensorRunner): boolean {
    const next = this.#waiting.shift();
    if (next === undefined) return false;
    this.#isTurn = false;
    next.resolve(runner.runTensors(next.inputs));
    return true;
  }

  /** A batch of frames has started. */
  passed(): void {
    this.#isTurn = true;
  }

  /** Ends all that waits. */
  fail(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
