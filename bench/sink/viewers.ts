import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const PLAY_DEADLINE_MS = 30_000;

/** Players that read a stream over TCP and throw it away, each a process of its own. */
export class Viewers {
  readonly #url: string;
  /** The sink's metrics, which count RTSP clients. */
  readonly #metrics: string;
  #processes: ChildProcess[] = [];

  constructor(url: string, metrics: string) {
    this.#url = url;
    this.#metrics = metrics;
    process.once('exit', () => {
      for (const child of this.#processes) child.kill('SIGKILL');
    });
  }

  /** Resolves when so many play, no more and no fewer. */
  async set(count: number): Promise<void> {
    const leaving = this.#processes.splice(count);
    for (const child of leaving) child.kill('SIGKILL');
    for (const child of leaving) if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    while (this.#processes.length < count) {
      this.#processes.push(
        spawn('ffmpeg', ['-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-i', this.#url, '-c', 'copy', '-f', 'null', '-'], {
          stdio: ['ignore', 'ignore', 'inherit'],
        }),
      );
    }
    const deadline = performance.now() + PLAY_DEADLINE_MS;
    while ((await this.#playing()) !== count) {
      if (this.#processes.some(({ exitCode }) => exitCode !== null)) throw new Error(`${this.#url}: a player has ended`);
      if (performance.now() > deadline) throw new Error(`${this.#url}: not ${count} players after ${PLAY_DEADLINE_MS} ms`);
      await sleep(100);
    }
  }

  async #playing(): Promise<number> {
    const text = await (await fetch(this.#metrics)).text();
    return Number(/^framebus_sink_clients\{.*kind="rtsp".*\} (\d+)$/m.exec(text)?.[1]);
  }
}
