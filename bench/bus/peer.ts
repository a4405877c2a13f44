import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Question } from './endpoint.js';

type ParametersOf<M> = M extends (...parameters: infer P) => unknown ? P : never;
type ResultOf<M> = M extends (...parameters: never[]) => infer R ? Awaited<R> : never;

/** A process that serves an object of type T; see serveParent. */
export class Peer<T> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #name: string;
  #lastId = 0;

  private constructor(name: string, args: readonly string[]) {
    this.#name = name;
    const file = fileURLToPath(new URL(`${name}.js`, import.meta.url));
    // Advanced serialisation carries bigints. Standard output is the parent's alone.
    this.#child = fork(file, [...args], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', (message) => this.#settle(message as Answer));
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the ${name} process ended`));
      this.#waiting.clear();
    });
  }

  /** Starts `node NAME.js ARGS` from this folder. */
  static async start<T>(name: string, args: readonly string[]): Promise<Peer<T>> {
    const peer = new Peer<T>(name, args);
    await peer.#answer(0);
    return peer;
  }

  async ask<K extends keyof T & string>(operation: K, ...parameters: ParametersOf<T[K]>): Promise<ResultOf<T[K]>> {
    this.#lastId += 1;
    const question: Question = { id: this.#lastId, operation, parameters };
    const answer = this.#answer(question.id);
    this.#child.send(question);
    return (await answer) as ResultOf<T[K]>;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.disconnect();
    await exit;
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }

  #settle({ id, result, failure }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failure === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`${this.#name}: ${failure}`));
  }
}
