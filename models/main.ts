import { parseArgs } from 'node:util';
import { cacheDirectory } from '../lib/config/locations.js';
import { describeError, exitCodeOf, FramebusError, messageOf } from '../lib/errors.js';
import { ensureModel, type FetchProgress } from './fetch.js';
import { MODELS_DIRECTORY, modelNames } from './find.js';

const USAGE = `Usage: node dist/models/main.js ls
       node dist/models/main.js fetch NAME|FILE [--from FILE] [--directory DIR] [--cache DIR]

Fetches a model, checks it, and prints the path of its file.
  --from FILE       take this copy of the model file instead of fetching it
  --directory DIR   folder of manifests
  --cache DIR       folder of fetched files (else $FRAMEBUS_CACHE, else .cache/framebus)`;

const OPTIONS = {
  from: { type: 'string' },
  directory: { type: 'string', default: MODELS_DIRECTORY },
  cache: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function readArguments() {
  try {
    return parseArgs({ allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new FramebusError('USAGE', `${messageOf(error)}\n${USAGE}`, { cause: error });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const [verb, name] = positionals;
  if (values.help) {
    print(USAGE);
    return;
  }
  if (verb === 'ls') {
    print(modelNames(values.directory).join('\n'));
    return;
  }
  if (verb !== 'fetch' || name === undefined) throw new FramebusError('USAGE', `expected a command\n${USAGE}`);
  const file = await ensureModel(name, {
    directory: values.directory,
    cacheDirectory: cacheDirectory(values.cache ?? null, process.cwd(), values.cache === undefined ? process.env : {}),
    onProgress: reporter(),
    ...(values.from === undefined ? {} : { from: values.from }),
  });
  print(file);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One line on stderr for each phase, and one for each tenth of a download. */
function reporter(): (progress: FetchProgress) => void {
  let last = '';
  return ({ phase, what, receivedBytes, totalBytes }) => {
    const tenths = totalBytes === null ? '' : ` ${Math.floor((receivedBytes / totalBytes) * 10) * 10} %`;
    const line = `${phase} ${what}${tenths}`;
    if (line !== last) process.stderr.write(`${line}\n`);
    last = line;
  };
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
