import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FramebusError } from '../lib/errors.js';

export interface NatsServerOptions {
  /** Default 0: a free one. */
  port?: number;
  /** More arguments, for example `['--user', 'a', '--pass', 'b']`. */
  arguments?: readonly string[];
  /** Default true. */
  jetStream?: boolean;
  /** Folder for its own folder; the system's temporary one by default. */
  directory?: string;
  /** Ends the wait for its start. */
  signal?: AbortSignal;
}

const START_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 600;
const FOLDER_PREFIX = 'framebus-nats-';
const KEPT_OUTPUT_CHARACTERS = 4_000;

/** Path of a program, also in the system folders that are not on everybody's PATH; undefined when missing. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * A nats-server of our own: a child process on loopback, with JetStream, whose
 * files lie in a temporary folder that goes with it. The kernel ends it when
 * this process dies (setpriv --pdeathsig, where there is one).
 */
export class NatsServer {
  /** nats://127.0.0.1:port */
  readonly url: string;
  readonly port: number;
  /** Resolves when the server has ended, whoever ended it. */
  readonly exited: Promise<void>;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #closed: Promise<void> | undefined;

  private constructor(child: ChildProcess, exited: Promise<void>, folder: string, port: number) {
    this.#child = child;
    this.#folder = folder;
    this.exited = exited;
    this.port = port;
    this.url = `nats://127.0.0.1:${port}`;
  }

  /** Throws NATS_SERVER_MISSING, NATS_SERVER_FAILED, CANCELLED. */
  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const binary = findProgram('nats-server');
    if (binary === undefined) throw new FramebusError('NATS_SERVER_MISSING', 'nats-server: not installed');
    const parent = options.directory ?? tmpdir();
    removeLeftovers(parent);
    const folder = mkdtempSync(join(parent, `${FOLDER_PREFIX}${process.pid}-`));
    const child = spawnWithParent(binary, [
      ...['--addr', '127.0.0.1', '--port', String(options.port ?? -1), '--ports_file_dir', folder],
      ...(options.jetStream === false ? [] : ['--jetstream', '--store_dir', folder]),
      ...(options.arguments ?? []),
    ]);
    let output = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-KEPT_OUTPUT_CHARACTERS);
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => {
        resolve();
      });
    });
    try {
      const port = await waitForPort(child, folder, () => output, options.signal);
      return new NatsServer(child, exited, folder, port);
    } catch (error) {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Process id, for tests that stop or kill it. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Ends the server and removes its folder. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Ends the server on the spot and removes its folder. */
  kill(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM');
      const kill = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
      await this.exited;
      clearTimeout(kill);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts a child that the kernel ends with this process; without setpriv a plain child. */
function spawnWithParent(program: string, args: readonly string[]): ChildProcess {
  const setpriv = findProgram('setpriv');
  const [command, prefix] = setpriv === undefined ? [program, []] : [setpriv, ['--pdeathsig', 'KILL', '--', program]];
  // A session of its own: the terminal's Ctrl-C is for us, who end the server last.
  return spawn(command, [...prefix, ...args], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
}

/** The port that the server says it listens on. */
async function waitForPort(
  child: ChildProcess,
  folder: string,
  output: () => string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const deadline = performance.now() + START_DEADLINE_MS;
  let failure: string | undefined;
  child.once('error', (error) => {
    failure = error.message;
  });
  while (performance.now() < deadline) {
    if (signal?.aborted === true) throw new FramebusError('CANCELLED', 'nats-server: stopped before it was ready');
    failure ??= child.exitCode === null ? undefined : lastLine(output());
    if (failure !== undefined) throw new FramebusError('NATS_SERVER_FAILED', `nats-server: did not start: ${failure}`);
    const port = readPort(folder);
    if (port !== undefined) return port;
    await sleep(20);
  }
  throw new FramebusError('NATS_SERVER_FAILED', `nats-server: not ready after ${START_DEADLINE_MS / 1_000} s`);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? 'it gave no reason';
}

function readPort(folder: string): number | undefined {
  const file = readdirSync(folder).find((name) => name.endsWith('.ports'));
  if (file === undefined) return undefined;
  try {
    const ports = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { nats?: string[] };
    const port = Number(new URL(ports.nats?.[0] ?? '').port);
    return port > 0 ? port : undefined;
  } catch {
    // Half written: look again.
    return undefined;
  }
}

/** Folders of servers whose framebus was killed. */
function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = name.startsWith(FOLDER_PREFIX) ? Number.parseInt(name.slice(FOLDER_PREFIX.length), 10) : 0;
    if (pid > 0 && !existsSync(`/proc/${pid}`)) {
      rmSync(join(parent, name), { recursive: true, force: true });
    }
  }
}
