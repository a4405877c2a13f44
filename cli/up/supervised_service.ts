import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, FramebusError } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import type { ServiceKind } from '../../lib/service.js';
import type { ProcessEnd } from '../fleet/service_process.js';

/** What is needed of a service's process. */
export interface SupervisedProcess {
  /** Resolves when it is gone. */
  readonly ended: Promise<ProcessEnd>;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

export interface SupervisedServiceOptions {
  kind: ServiceKind;
  /** Starts the process. */
  start: () => SupervisedProcess;
  log: Log;
  /** Wait before the first restart; doubles with each. */
  initialWaitMs?: number;
}

/** A service has ended in a way that a restart does not mend. */
export class GaveUp extends FramebusError {
  /** That of the service. */
  readonly exitCode: number;

  constructor(kind: ServiceKind, exitCode: number) {
    super('SERVICE_FAILED', `${kind}: ended with exit code ${exitCode} and would again`);
    this.exitCode = exitCode;
  }
}

const INITIAL_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
/** A service that has lived so long starts again without a penalty. */
const GOOD_LIFE_MS = 60_000;
/** A restart finds the same file, the same permissions, the same missing input. */
const PERMANENT: ReadonlySet<number> = new Set([EXIT.config, EXIT.usage, EXIT.noInput, EXIT.data, EXIT.permission]);

/** One service of `framebus up`: started, watched, and started again when it dies. */
export class SupervisedService {
  readonly kind: ServiceKind;
  /** Rejects with GaveUp when the service cannot be kept running; resolves after `stop`. */
  readonly done: Promise<void>;
  readonly #start: () => SupervisedProcess;
  readonly #log: Log;
  readonly #initialWaitMs: number;
  /** Aborted by `stop` and `kill`. */
  readonly #stopping = new AbortController();
  #process: SupervisedProcess;
  #wasReady = false;

  constructor({ kind, start, log, initialWaitMs = INITIAL_WAIT_MS }: SupervisedServiceOptions) {
    this.kind = kind;
    this.#start = start;
    this.#log = log;
    this.#initialWaitMs = initialWaitMs;
    this.#process = start();
    this.done = this.#supervise();
  }

  /** Told when the service says that it is ready: from then on an error is no longer one of its start. */
  markReady(): void {
    this.#wasReady = true;
  }

  /** Resolves when the present process has ended. */
  get ended(): Promise<ProcessEnd> {
    return this.#process.ended;
  }

  /** Asks the process to end, and starts no other. */
  stop(): void {
    this.#stopping.abort();
    this.#process.signal('SIGTERM');
  }

  /** Ends the process on the spot. */
  kill(): void {
    this.#stopping.abort();
    this.#process.signal('SIGKILL');
  }

  async #supervise(): Promise<void> {
    for (let waitMs = this.#initialWaitMs; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      const startedAtMs = performance.now();
      const end = await this.#process.ended;
      if (this.#isStopping()) return;
      this.#giveUpOn(end);
      if (performance.now() - startedAtMs > GOOD_LIFE_MS) waitMs = this.#initialWaitMs;
      const how = end.signal === null ? `exit code ${end.code}` : end.signal;
      this.#log.warn(`${this.kind} has ended (${how}); starting it again in ${waitMs / 1_000} s`);
      await sleep(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#isStopping()) return;
      this.#process = this.#start();
    }
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Throws GaveUp when starting again would end the same way. */
  #giveUpOn({ code }: ProcessEnd): void {
    if (code === null || code === EXIT.ok) return;
    if (!this.#wasReady || PERMANENT.has(code)) throw new GaveUp(this.kind, code);
  }
}
