import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../lib/package_root.js';
import { registerBus } from './bus.js';
import { registerDemo } from './demo.js';
import { registerDoctor } from './doctor.js';
import { registerModel } from './model.js';
import { registerProcess } from './process.js';
import { registerRecord } from './record.js';
import { registerServices } from './services.js';
import { registerSnapshot } from './snapshot.js';
import { registerStatus } from './status.js';
import { registerStream } from './stream.js';
import { registerUp } from './up.js';
import { registerValidate } from './validate.js';
import { registerWatch } from './watch.js';

/** Version of framebus, from package.json. */
export function version(): string {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const EXAMPLES = `
Examples:
  framebus doctor                        what is here, what is missing
  framebus validate framebus.yaml        check a configuration
  framebus up --nats embedded            all services, with a NATS server of their own
  framebus watch gate --class person     what is seen, as it is seen
  framebus snapshot gate out.jpg         the latest picture, with boxes
  framebus record gate --for 30s         a clip that begins before now
  framebus stream set gate --interval 2  change a stream while it runs
  framebus process in.mp4 --out out.mp4  a file with what is seen drawn on it
  framebus model ls                      the models that it knows

Exit codes follow sysexits.h: 0 well, 1 failed, 64 usage, 65 data, 66 no such input,
69 unavailable, 70 internal, 77 permission, 78 configuration; 130 forced by Ctrl-C.`;

/** The whole command line. Errors of usage are thrown as CommanderError, others as they come. */
export function createProgram(): Command {
  const program = new Command('framebus')
    .description('Video analytics as three services over a shared-memory frame bus')
    .version(version(), '-V, --version')
    .showSuggestionAfterError()
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', EXAMPLES)
    // Inherited by commands that are added after this.
    .exitOverride();
  registerUp(program);
  registerServices(program);
  registerValidate(program);
  registerDoctor(program);
  registerStatus(program);
  registerBus(program);
  registerWatch(program);
  registerSnapshot(program);
  registerRecord(program);
  registerStream(program);
  registerModel(program);
  registerProcess(program);
  registerDemo(program);
  program
    .command('version')
    .description('Print the version of framebus, and of Node')
    .action(() => {
      process.stdout.write(`framebus ${version()} (Node ${process.version})\n`);
    });
  return program;
}
