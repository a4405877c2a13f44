import { EXIT, exitCodeOf } from '../errors.js';

/** Why a service is to end. */
export interface StopRequest {
  /** For the log, for example "SIGTERM". */
  reason: string;
  /** Exit code when draining goes well. */
  exitCode: number;
  /** What went wrong, when something did. */
  error?: unknown;
}

// npm hands on a Ctrl-C that the terminal has already sent to the whole process group.
const SAME_CTRL_C_MS = 300;

/**
 * Waits for whatever ends a service: SIGTERM, SIGINT, the death of the parent
 * process, or a fatal error. A second Ctrl-C ends the process on the spot.
 *
 * The parent is watched through Node's IPC channel, when there is one: the kernel
 * closes it however the parent dies, so that a killed `framebus up` leaves no orphan.
 */
export class Shutdown {
  /** Resolves with the first request. */
  readonly requested: Promise<StopRequest>;
  /** Aborted with the first request. */
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #force: (exitCode: number) => void;
  #resolve: (request: StopRequest) => void = () => undefined;
  #interruptedAtMs: number | undefined;

  /** `force` ends the process at once. */
  constructor(force: (exitCode: number) => void) {
    this.#force = force;
    this.signal = this.#abort.signal;
    this.requested = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    process.on('SIGINT', this.#onInterrupt);
    process.on('SIGTERM', this.#onTerminate);
    process.on('uncaughtException', this.#onUncaught);
    process.on('unhandledRejection', this.#onUncaught);
    if (process.connected) process.on('disconnect', this.#onDisconnect);
  }

  /** Asks the service to end because of an error; the first one counts. */
  fatal(error: unknown): void {
    this.#request({ reason: 'error', exitCode: exitCodeOf(error), error });
  }

  /** Stops listening to signals. */
  close(): void {
    process.off('SIGINT', this.#onInterrupt);
    process.off('SIGTERM', this.#onTerminate);
    process.off('uncaughtException', this.#onUncaught);
    process.off('unhandledRejection', this.#onUncaught);
    process.off('disconnect', this.#onDisconnect);
  }

  #request(request: StopRequest): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#resolve(request);
  }

  readonly #onInterrupt = (): void => {
    const now = performance.now();
    this.#interruptedAtMs ??= now;
    if (now - this.#interruptedAtMs > SAME_CTRL_C_MS) this.#force(EXIT.interrupted);
    else this.#request({ reason: 'SIGINT', exitCode: EXIT.ok });
  };

  readonly #onTerminate = (): void => {
    this.#request({ reason: 'SIGTERM', exitCode: EXIT.ok });
  };

  readonly #onDisconnect = (): void => {
    this.#request({ reason: 'the parent process is gone', exitCode: EXIT.ok });
  };

  readonly #onUncaught = (error: unknown): void => {
    // A second one while draining: nothing that is left can be trusted.
    if (this.#abort.signal.aborted) this.#force(exitCodeOf(error));
    else this.fatal(error);
  };
}
