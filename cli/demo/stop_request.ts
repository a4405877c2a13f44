const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** npm passes a Ctrl-C on that the terminal has sent us already; those two are one. */
const SAME_SIGNAL_WITHIN_MS = 300;

/** Ctrl-C and its kin: the first asks for an orderly end, a second one for an immediate one. */
export class StopRequest {
  readonly #controller = new AbortController();
  readonly #force: () => void;
  #firstAtMs = 0;

  /** `force` is called for the second signal. */
  constructor(force: () => void) {
    this.#force = force;
    for (const name of SIGNALS) process.on(name, this.#onSignal);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  close(): void {
    for (const name of SIGNALS) process.off(name, this.#onSignal);
  }

  readonly #onSignal = (): void => {
    if (!this.signal.aborted) {
      this.#firstAtMs = performance.now();
      this.#controller.abort();
    } else if (performance.now() - this.#firstAtMs > SAME_SIGNAL_WITHIN_MS) this.#force();
  };
}
