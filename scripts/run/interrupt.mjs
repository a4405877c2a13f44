/** Ctrl-C and SIGTERM as an AbortSignal; the second one ends the process at once. */
import { Interrupted } from './command.mjs';

/** npm passes a Ctrl-C on that the terminal has sent us already; those two are one. */
const SAME_SIGNAL_WITHIN_MS = 300;

/**
 * Runs the work; afterwards the signals mean again what they meant before.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withInterrupt(work) {
  const controller = new AbortController();
  let firstAt = 0;
  const onSignal = () => {
    if (!controller.signal.aborted) {
      firstAt = performance.now();
      controller.abort();
    } else if (performance.now() - firstAt > SAME_SIGNAL_WITHIN_MS) process.exit(130);
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/**
 * Runs a script's main function and turns its failure into an exit code.
 * @param {() => Promise<number | void>} main
 * @param {(new (...args: any[]) => Error)[]} told errors that the person has been told already
 */
export async function runMain(main, told = []) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (error instanceof Interrupted) process.exitCode = 130;
    else {
      process.exitCode = 1;
      if (!told.some((kind) => error instanceof kind)) process.stderr.write(`${error.message}\n`);
    }
  }
}
