import { join } from 'node:path';
import { ROOT, TestProcess } from './process.js';

interface Answer {
  id: number;
  result?: unknown;
  failure?: string;
}

/** A producer or consumer of the bus in its own process; see fixtures/bus_peer.mjs. */
export class BusPeer {
  readonly process: TestProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #ready: Promise<unknown>;
  #lastId = 0;

  private constructor(args: readonly string[]) {
    const fixture = join(ROOT, 'test', 'fixtures', 'bus_peer.mjs');
    this.process = new TestProcess(process.execPath, ['--expose-gc', fixture, ...args], { ipc: true });
    this.#ready = this.#answer(0);
    this.process.child.on('message', (message) => {
      const answer = message as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  static async producer(directory: string): Promise<BusPeer> {
    const peer = new BusPeer(['producer', directory]);
    await peer.#ready;
    return peer;
  }

  static async consumer(directory: string, group = 'infer'): Promise<BusPeer> {
    const peer = new BusPeer(['consumer', directory, group]);
    await peer.#ready;
    return peer;
  }

  /** Has the process do something and returns what came of it; bigints come as strings. */
  async ask<T>(operation: string, parameters: object = {}): Promise<T> {
    this.#lastId += 1;
    const answer = this.#answer(this.#lastId);
    this.process.child.send({ id: this.#lastId, operation, parameters });
    return (await answer) as T;
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const died = (): void => {
        reject(new Error(`the process ended first: ${this.process.stderr}`));
      };
      this.process.child.once('close', died);
      this.#waiting.set(id, ({ result, failure }) => {
        this.process.child.off('close', died);
        if (failure === undefined) resolve(result);
        else reject(new Error(failure));
      });
    });
  }
}
