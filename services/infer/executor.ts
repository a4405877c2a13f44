import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { FramebusError, isErrorCode, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { BatchTimes } from './detector.js';
import type { FrameFindings } from './frame_findings.js';
import type { ExecutorData, ExecutorFrame, ExecutorReply, ExecutorRequest } from './executor_protocol.js';
import type { StreamThresholds } from './stream_thresholds.js';
import type { InputTensorData, OutputTensorData, TensorSignature } from './tensor_inference.js';

/** What an executor has found in a batch. */
export interface ExecutorResult {
  /** One array a frame, see `toFrameBoxes`. */
  rows: Float32Array[];
  /** The same for all that is not boxes. */
  findings: FrameFindings[];
  times: BatchTimes;
}

export interface ExecutorOptions {
  data: ExecutorData;
  log: Log;
  /** It can take a batch again, or cannot any more. */
  onChange: () => void;
  /** What runs in the thread. */
  workerFile?: URL;
}

/** loading: first start. restarting: its thread has died. */
export type ExecutorState = 'loading' | 'idle' | 'busy' | 'restarting' | 'closed';

const FIRST_RESTART_MS = 100;
const LONGEST_RESTART_MS = 5_000;
const CLOSE_DEADLINE_MS = 2_000;
/** Weight of the newest batch in the expected time. */
const NEWEST = 0.2;

type Done = Extract<ExecutorReply, { type: 'done' | 'tensors' }>;

interface Running {
  id: number;
  /** Frames of the batch; null: a client's tensors. */
  size: number | null;
  /** While it waits behind another one, when it was given. */
  startedMs: number;
  resolve: (reply: Done) => void;
  reject: (error: FramebusError) => void;
}

/**
 * A thread with an engine of its own, that runs one batch at a time; the next one may wait in
 * the thread already, so that the engine goes on without asking. It is started anew when it dies.
 */
export class Executor {
  readonly #options: ExecutorOptions;
  #worker: Worker | null = null;
  #state: ExecutorState = 'loading';
  #running: Running | null = null;
  /** Waits in the thread for the end of `#running`. */
  #next: Running | null = null;
  #serial = 0;
  #restartMs = FIRST_RESTART_MS;
  readonly #closing = new AbortController();
  /** Expected milliseconds of a batch, by size. */
  #batchMs = new Map<number, number>();
  #uncertaintyMs = 0;
  #signature: TensorSignature | null = null;

  constructor(options: ExecutorOptions) {
    this.#options = options;
  }

  get state(): ExecutorState {
    return this.#state;
  }

  /** Resolves when the model is loaded and warm. @throws MODEL_SHAPE, MODEL_DECODER, ENGINE_MISSING, ENGINE_FAILED */
  async load(): Promise<void> {
    await this.#spawn();
  }

  /** Milliseconds until it will be idle; 0 when it is, null when that is not known. */
  remainingMs(): number | null {
    if (this.#state === 'idle') return 0;
    if (this.#state !== 'busy' || this.#running === null) return null;
    const left = Math.max(0, this.#expectedMs(this.#running) - (performance.now() - this.#running.startedMs));
    return this.#next === null ? left : left + this.#expectedMs(this.#next);
  }

  /** Expected milliseconds of a batch of so many frames; 0 when none has been run. */
  batchMs(size: number): number {
    return this.#batchMs.get(size) ?? 0;
  }

  /** By how many milliseconds batches have lately missed what was expected of them. */
  get uncertaintyMs(): number {
    return this.#uncertaintyMs;
  }

  /** A batch runs, and none waits behind it yet: `run` takes one more. */
  get takesNext(): boolean {
    return this.#state === 'busy' && this.#running !== null && this.#next === null;
  }

  /** What the model takes and gives. */
  get signature(): TensorSignature {
    if (this.#signature === null) throw new Error(`executor is ${this.#state}, its model is not loaded`);
    return this.#signature;
  }

  /** Runs a batch, at once or after the one that runs. @throws ENGINE_FAILED and what the batch itself caused */
  run(frames: ExecutorFrame[]): Promise<ExecutorResult> {
    return this.#give(frames.length, (id) => ({ type: 'batch', id, frames })).then((reply) => {
      if (reply.type !== 'done') throw new Error('the executor answered a batch with tensors');
      return { rows: reply.rows, findings: reply.findings, times: reply.times };
    });
  }

  /** Runs tensors of a client, at once or after the batch that runs. @throws ENGINE_FAILED */
  runTensors(inputs: ReadonlyMap<string, InputTensorData>): Promise<OutputTensorData[]> {
    return this.#give(null, (id) => ({ type: 'tensors', id, inputs })).then((reply) => {
      if (reply.type !== 'tensors') throw new Error('the executor answered tensors with a batch');
      return reply.outputs;
    });
  }

  /** Thresholds that frames refer to by `number` from the next batch on. A thread that is started later gets them from `data`. */
  setFilter(number: number, thresholds: StreamThresholds): void {
    const request: ExecutorRequest = { type: 'filter', number, thresholds };
    this.#worker?.postMessage(request);
  }

  #give(size: number | null, request: (id: number) => ExecutorRequest): Promise<Done> {
    const worker = this.#worker;
    if (worker === null || (this.#state !== 'idle' && !this.takesNext)) throw new Error(`executor is ${this.#state}, it takes no batch`);
    const isNext = this.#state === 'busy';
    this.#state = 'busy';
    const id = this.#serial++;
    return new Promise((resolve, reject) => {
      const given = { id, size, startedMs: performance.now(), resolve, reject };
      if (isNext) this.#next = given;
      else this.#running = given;
      worker.postMessage(request(id));
    });
  }

  /** Waits for the batches that it has, then ends the thread. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closing.abort();
    const worker = this.#worker;
    if (worker === null) return;
    const request: ExecutorRequest = { type: 'close' };
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage(request);
    const timer = setTimeout(() => void worker.terminate(), CLOSE_DEADLINE_MS);
    await exited;
    clearTimeout(timer);
  }

  /** Starts a thread; rejects when it refuses the model, or dies before it is ready. */
  #spawn(): Promise<void> {
    return new Promise((resolve, reject) => {
      const file = this.#options.workerFile ?? new URL('./executor_worker.js', import.meta.url);
      const worker = new Worker(file, { workerData: this.#options.data });
      let ready = false;
      let cause = 'it ended by itself';
      this.#worker = worker;
      worker.on('error', (error) => (cause = messageOf(error)));
      worker.on('exit', () => {
        if (this.#worker === worker) this.#worker = null;
        const { name } = this.#options.data.manifest;
        const error = new FramebusError('ENGINE_FAILED', `model ${name}: the executor's thread died: ${cause}`);
        if (ready) this.#onDeath(error);
        // After a refusal this comes too late to matter.
        else reject(error);
      });
      worker.on('message', (reply: ExecutorReply) => {
        if (reply.type === 'refused') return reject(refusal(reply));
        if (reply.type !== 'ready') return this.#onBatch(reply);
        ready = true;
        this.#onReady(reply);
        resolve();
      });
    });
  }

  #onReady({ signature, reason, loadMs, batchMs }: Extract<ExecutorReply, { type: 'ready' }>): void {
    if (this.#state === 'closed') return;
    const times = Object.fromEntries([...batchMs].map(([size, ms]) => [size, Math.round(ms * 10) / 10]));
    this.#signature = signature;
    const why = reason === null ? {} : { chosen: reason };
    this.#options.log.info({ engine: signature.engine, ...why, loadMs: Math.round(loadMs), batchMs: times }, 'model is loaded and warm');
    this.#batchMs = new Map(batchMs);
    this.#state = 'idle';
    this.#options.onChange();
  }

  #onBatch(reply: Done | Extract<ExecutorReply, { type: 'failed' }>): void {
    const running = this.#running;
    if (running === null || running.id !== reply.id) return;
    this.#running = this.#next;
    this.#next = null;
    if (this.#running !== null) this.#running.startedMs = performance.now();
    else if (this.#state === 'busy') this.#state = 'idle';
    if (reply.type === 'failed') {
      const code = isErrorCode(reply.code) ? reply.code : 'ENGINE_FAILED';
      running.reject(new FramebusError(code, reply.message));
    } else {
      this.#restartMs = FIRST_RESTART_MS;
      this.#learn(running);
      running.resolve(reply);
    }
    this.#options.onChange();
  }

  #learn({ size, startedMs }: Running): void {
    if (size === null) return;
    const tookMs = performance.now() - startedMs;
    const expected = this.#batchMs.get(size) ?? tookMs;
    this.#batchMs.set(size, expected + NEWEST * (tookMs - expected));
    this.#uncertaintyMs += NEWEST * (Math.abs(tookMs - expected) - this.#uncertaintyMs);
  }

  /** Tensors count as if they were done: frames are asked for while they run, or they would miss the turn that is theirs. */
  #expectedMs({ size }: Running): number {
    return size === null ? 0 : (this.#batchMs.get(size) ?? 0);
  }

  #onDeath(error: FramebusError): void {
    this.#running?.reject(error);
    this.#next?.reject(error);
    this.#running = this.#next = null;
    if (this.#state === 'closed') return;
    this.#state = 'restarting';
    this.#options.onChange();
    void this.#restart(error);
  }

  async #restart(error: unknown): Promise<void> {
    for (let why = error; ; ) {
      const waitMs = this.#restartMs;
      this.#restartMs = Math.min(waitMs * 2, LONGEST_RESTART_MS);
      this.#options.log.error({ err: why, waitMs }, 'executor failed; starting it anew');
      await sleep(waitMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      if (this.#closing.signal.aborted) return;
      try {
        await this.#spawn();
        return;
      } catch (again) {
        why = again;
      }
    }
  }
}

function refusal({ code, message, remedy }: Extract<ExecutorReply, { type: 'refused' }>): FramebusError {
  return new FramebusError(isErrorCode(code) ? code : 'ENGINE_FAILED', message, { remedy });
}
