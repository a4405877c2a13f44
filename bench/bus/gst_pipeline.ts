import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { threadsCpuUs } from '../stages/command_cpu.js';

/** Takes buffers for next to nothing and lets the kernel count their bytes; see GstPipeline.bytesOut. */
export const COUNTED_SINK = ['filesink', 'location=/dev/null', 'buffer-mode=unbuffered', 'sync=false'];

const STOP_DEADLINE_MS = 1_000;
const KEPT_OUTPUT_CHARACTERS = 2_000;

const running = new Set<GstPipeline>();
process.on('exit', () => {
  for (const pipeline of running) pipeline.kill();
});

/** A gst-launch-1.0 that runs until it is ended. */
export class GstPipeline {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #errors = '';

  constructor(elements: readonly string[]) {
    this.#child = spawn('gst-launch-1.0', ['-q', ...elements], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-KEPT_OUTPUT_CHARACTERS);
    });
    running.add(this);
    this.#exited = new Promise((resolve) => {
      const ended = (error?: unknown): void => {
        if (error instanceof Error) this.#errors += error.message;
        running.delete(this);
        resolve();
      };
      this.#child.once('error', ended);
      this.#child.once('exit', () => ended());
    });
  }

  /** CPU of all its threads so far, in microseconds. Throws when it has ended. */
  cpuUs(): number {
    return threadsCpuUs(this.#pid());
  }

  /** Bytes that its COUNTED_SINK has taken. Throws when it has ended. */
  bytesOut(): number {
    return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${this.#pid()}/io`, 'utf8'))?.[1]);
  }

  /** On SIGINT gst-launch ends its elements in order, and shmsink removes its memory and socket. */
  async end(): Promise<void> {
    if (!running.has(this)) return;
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.kill(), STOP_DEADLINE_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** A killed shmsink leaves its memory behind. */
  kill(): void {
    this.#child.kill('SIGKILL');
    const left = `shmpipe.${String(this.#child.pid).padStart(5)}.`;
    for (const name of readdirSync('/dev/shm')) {
      if (name.startsWith(left)) rmSync(`/dev/shm/${name}`, { force: true });
    }
  }

  #pid(): number {
    const { pid } = this.#child;
    if (pid !== undefined && running.has(this)) return pid;
    throw new Error(`gst-launch-1.0: ended: ${this.#errors.trim()}`);
  }
}
