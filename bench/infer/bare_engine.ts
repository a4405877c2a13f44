import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { disableOnnxTelemetry } from '../../lib/onnx_telemetry.js';
import type { PreprocessSpec } from '../../native/contract.js';

/** What runs in the thread. */
export interface EngineLoop {
  file: string;
  threads: number;
  batch: number;
  /** A clip of which the first picture is looked at, and how it gets into the model. */
  clip: string;
  spec: PreprocessSpec;
}

export interface EngineBlock {
  seconds: number;
}

/** onnxruntime in a loop, in a worker thread: the most that this machine can do with a model. */
export class BareEngine {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static async start(loop: EngineLoop): Promise<BareEngine> {
    disableOnnxTelemetry();
    const worker = new Worker(new URL('./engine_worker.js', import.meta.url), { workerData: loop });
    await once(worker, 'message');
    return new BareEngine(worker);
  }

  /** Pictures a second, over a block of so many seconds. */
  async framesPerSecond(seconds: number): Promise<number> {
    const block: EngineBlock = { seconds };
    this.#worker.postMessage(block);
    const [framesPerSecond] = (await once(this.#worker, 'message')) as [number];
    return framesPerSecond;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
