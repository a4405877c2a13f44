import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { PACKAGE_ROOT } from '../../lib/package_root.js';
import type { ServiceKind } from '../../lib/service.js';

const KEPT_LINES = 40;

/** How a process ended. */
export interface ProcessEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ServiceProcessOptions {
  kind: ServiceKind;
  configFile: string;
  /** Added to the environment. */
  environment: Readonly<Record<string, string>>;
  /** Told each line that the service writes. */
  onLine: (kind: ServiceKind, line: string) => void;
}

/** One service as a child process that never outlives its parent. */
export class ServiceProcess {
  readonly kind: ServiceKind;
  /** Resolves when the process is gone and all of its output has been read. */
  readonly ended: Promise<ProcessEnd>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #lines: string[] = [];
  #hasEnded = false;

  constructor({ kind, configFile, environment, onLine }: ServiceProcessOptions) {
    this.kind = kind;
    const main = join(PACKAGE_ROOT, 'dist', 'services', kind, 'main.js');
    // setpriv: the kernel ends the service when we die, even by kill -9. Its own process group:
    // Ctrl-C reaches us alone, and we end the services in order.
    this.#child = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', process.execPath, main, '--config', configFile],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...environment } },
    );
    const keep = (line: string): void => {
      this.#lines.push(line);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      onLine(kind, line);
    };
    createInterface({ input: this.#child.stdout }).on('line', keep);
    createInterface({ input: this.#child.stderr }).on('line', keep);
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        keep(`${kind}: could not be started: ${error.message}`);
        this.#hasEnded = true;
        resolve({ code: 1, signal: null });
      });
      this.#child.once('close', (code, signal) => {
        this.#hasEnded = true;
        resolve({ code, signal });
      });
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The last lines that it wrote. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** SIGTERM: finish what has begun. SIGKILL: now. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    if (!this.#hasEnded) this.#child.kill(name);
  }
}
