import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { eventually } from './eventually.js';

/** Folder of the repository. */
export const ROOT = join(import.meta.dirname, '..', '..');

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** With an IPC channel. Default: for Node, so that a killed test run leaves no service behind. */
  ipc?: boolean;
}

/** A child process, killed with the test if it still lives. */
export class TestProcess {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #exit: Promise<number>;

  constructor(command: string, args: readonly string[], options: RunOptions = {}) {
    const hasIpc = options.ipc ?? command === process.execPath;
    this.child = spawn(command, [...args], {
      cwd: options.cwd ?? ROOT,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe', ...(hasIpc ? ['ipc' as const] : [])],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#exit = once(this.child, 'close').then(([code, signal]) =>
      typeof code === 'number' ? code : signal === null ? -1 : 128,
    );
    onTestFinished(async () => {
      if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
      await this.#exit;
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.child.kill(signal);
  }

  /** Exit code once the process has ended; 128 when a signal ended it. */
  exitCode(): Promise<number> {
    return this.#exit;
  }

  /** Waits until its output (both streams) matches. */
  async output(pattern: RegExp, timeoutMs = 20_000): Promise<RegExpExecArray> {
    return eventually(
      () => `output like ${String(pattern)} from ${this.child.spawnargs.join(' ')}\n${this.stdout}${this.stderr}`,
      () => pattern.exec(this.stdout + this.stderr),
      { timeoutMs },
    );
  }
}

/** Starts `node` with arguments; paths are taken from the repository's folder. */
export function runNode(args: readonly string[], options: RunOptions = {}): TestProcess {
  return new TestProcess(process.execPath, args, options);
}
