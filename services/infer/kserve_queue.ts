import { FramebusError } from '../../lib/errors.js';

interface Waiting {
  start: () => void;
  leave: (error: FramebusError) => void;
}

interface Line {
  isRunning: boolean;
  waiting: Waiting[];
}

/**
 * Lets one request at a time into every model and a few wait, so that however
 * many come, frames have their turn after each.
 */
export class KserveQueue {
  readonly #maxWaiting: number;
  readonly #lines = new Map<string, Line>();
  #closed = false;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** How many wait for a model. */
  waiting(model: string): number {
    return this.#lines.get(model)?.waiting.length ?? 0;
  }

  /**
   * Runs when it is its turn; one that is aborted while it waits gives its place
   * free, one that runs keeps it until it is done.
   *
   * @throws MODEL_BUSY, CANCELLED, SHUTTING_DOWN, and what `run` throws
   */
  async run<T>(model: string, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    if (this.#closed) throw stopping(model);
    if (signal.aborted) throw cancelled(model);
    const line = this.#lineOf(model);
    if (line.isRunning) await this.#wait(model, line, signal);
    line.isRunning = true;
    try {
      return await run();
    } finally {
      this.#next(model, line);
    }
  }

  /** Sends those away that wait. */
  close(): void {
    this.#closed = true;
    for (const [model, { waiting }] of this.#lines) {
      for (const one of waiting.splice(0)) one.leave(stopping(model));
    }
  }

  #lineOf(model: string): Line {
    const line = this.#lines.get(model) ?? { isRunning: false, waiting: [] };
    this.#lines.set(model, line);
    return line;
  }

  /** Resolves with the place of the one that ran. */
  #wait(model: string, line: Line, signal: AbortSignal): Promise<void> {
    if (line.waiting.length >= this.#maxWaiting) {
      throw new FramebusError('MODEL_BUSY', `model ${model}: ${line.waiting.length} requests wait for it already`);
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        line.waiting = line.waiting.filter((one) => one !== waiting);
        reject(cancelled(model));
      };
      const waiting: Waiting = {
        start: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        leave: (error) => {
          signal.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      line.waiting.push(waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #next(model: string, line: Line): void {
    const next = line.waiting.shift();
    // The place is kept for it: nobody comes between.
    if (next !== undefined) return next.start();
    line.isRunning = false;
    // Models come and go; an empty line is made anew.
    this.#lines.delete(model);
  }
}

const cancelled = (model: string): FramebusError => new FramebusError('CANCELLED', `model ${model}: the request was given up while it waited`);

const stopping = (model: string): FramebusError => new FramebusError('SHUTTING_DOWN', `model ${model}: infer is stopping`);
