/** Processes of the proof: their lines, and their ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import readline from 'node:readline';

/** Namespaces of its own; killing unshare kills what runs in them. */
export const ISOLATED = ['unshare', '-p', '-f', '-i', '-n', '-m', '--mount-proc', '--kill-child'];

const LINE_WITHIN_MS = 60_000;
const RUN_WITHIN_MS = 120_000;

/** A child process whose lines of output can be waited for. */
export class GpuProcess {
  #child;
  #lines = [];
  #waiting = new Set();
  #exited;

  /**
   * @param {string[]} command
   * @param {{input?: NodeJS.ReadableStream, env?: Record<string, string>}} [options]
   */
  constructor(command, { env = {} } = {}) {
    const [program, ...args] = command;
    this.#child = spawn(program, args, { stdio: 'pipe', env: { ...process.env, ...env } });
    this.#child.stdin.on('error', () => undefined); // It may be gone before it has read everything.
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      readline.createInterface({ input: stream }).on('line', (line) => this.#add(line));
    }
    this.#exited = once(this.#child, 'close').then(([code, signal]) => {
      for (const check of this.#waiting) check();
      return signal ?? code;
    });
  }

  /** Everything that it has said. */
  get lines() {
    return this.#lines;
  }

  get stdin() {
    return this.#child.stdin;
  }

  /** @param {(line: string) => void} listener called for each line of output from now on */
  onLine(listener) {
    this.#waiting.add(() => listener(this.#lines.at(-1)));
  }

  /**
   * The first line that starts so, of those from `from` on; undefined when it ends without, or does not come.
   * @param {string} start
   * @param {number} [from]
   * @returns {Promise<string | undefined>}
   */
  async line(start, from = 0) {
    const find = () => this.#lines.slice(from).find((line) => line.startsWith(start));
    const already = find();
    if (already !== undefined) return already;
    return new Promise((resolve) => {
      const finish = (found) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(found);
      };
      const check = () => {
        const found = find();
        if (found !== undefined) finish(found);
      };
      const timer = setTimeout(() => finish(undefined), LINE_WITHIN_MS);
      this.#waiting.add(check);
      void this.#exited.then(() => finish(find()));
    });
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  /** Its exit code, or the signal that ended it. */
  get exited() {
    return this.#exited;
  }

  #add(line) {
    this.#lines.push(line);
    for (const check of this.#waiting) check();
  }
}

/**
 * Runs to the end; the last line of output is what it has to tell.
 * @param {string[]} command
 * @param {{env?: Record<string, string>}} [options]
 */
export async function outputOf(command, options) {
  const child = new GpuProcess(command, options);
  child.stdin.end();
  const timer = setTimeout(() => child.kill(), RUN_WITHIN_MS);
  const code = await child.exited;
  clearTimeout(timer);
  return { code, lines: child.lines, last: child.lines.at(-1) ?? '' };
}

/**
 * A producer's lines straight into a consumer, as a shell would; what the consumer says last.
 * @param {string[]} producer
 * @param {string[]} consumer
 */
export async function piped(producer, consumer) {
  const quote = (words) => words.map((word) => `'${word}'`).join(' ');
  return outputOf(['sh', '-c', `${quote(producer)} 2>/dev/null | ${quote(consumer)}`]);
}
