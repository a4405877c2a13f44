import { CommanderError } from 'commander';
import { codeOf, describeError, EXIT, exitCodeOf } from '../lib/errors.js';
import { redactUrl } from '../lib/log.js';
import { createProgram } from './program.js';

/** Runs the command line and returns the exit code. */
async function run(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv);
    return Number(process.exitCode ?? EXIT.ok);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    process.stderr.write(`framebus: ${redactUrl(describeError(error))}\n`);
    return exitCodeOf(error);
  }
}

// The reader of a pipe has seen enough (`framebus watch | head`).
process.stdout.on('error', (error) => {
  process.exit(codeOf(error) === 'EPIPE' ? EXIT.ok : EXIT.io);
});

process.exit(await run(process.argv));
