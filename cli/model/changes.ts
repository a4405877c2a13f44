import { InvalidArgumentError, Option, type Command } from 'commander';
import path from 'node:path';
import { ServedModel } from '#proto/framebus/model/v1/served_model.js';
import { serviceAddress, serviceOptions } from '../client.js';
import { Screen } from '../demo/screen.js';
import { withStop } from './fetch_models.js';
import { ModelClient, type CallLimits } from './model_client.js';
import { servedLine, stateText } from './served_table.js';

interface ChangeOptions {
  address?: string;
  config?: string;
  timeout: number;
  json?: true;
}

const REDRAW_MS = 100;
/** A model may have to be fetched first. */
const DEFAULT_TIMEOUT_SECONDS = 300;

const MANIFEST = 'name of a manifest in models.directory, or path of one that every worker can read';
const EXIT_CODES =
  '\n\nWhat fails changes nothing. Exit codes: 65 the model is not right, 66 there is no such model or manifest,\n' +
  '69 no worker answers, 75 somebody else has changed it or it took too long, 78 a stream wants a label that it does not have.';

/** Adds `framebus model swap`, `load` and `unload`. */
export function registerChanges(model: Command): void {
  registerSwap(model);
  registerLoad(model);
  registerUnload(model);
}

function registerSwap(model: Command): void {
  change(model, 'swap', 'Put another model behind a name that streams ask for, while they run; without MANIFEST the same one anew')
    .argument('<name>', 'name that streams ask for')
    .argument('[manifest]', MANIFEST)
    .addHelpText(
      'after',
      '\nThe other model is loaded beside the one that runs and takes over between two batches, on all workers.\n' +
        '\nExamples:\n  framebus model swap ssdlite-mobilenet-v2 yolox-nano-416\n  framebus model swap ssdlite-mobilenet-v2 ./my-model.yaml\n' +
        '  framebus model swap ssdlite-mobilenet-v2 ssdlite-mobilenet-v2    back to its own' +
        EXIT_CODES,
    )
    .action((name: string, manifest: string | undefined, options: ChangeOptions) =>
      run(name, options, async (client, limits) => (await client.swap(name, manifestOf(manifest), limits)).model),
    );
}

function registerLoad(model: Command): void {
  change(model, 'load', 'Load a model and keep it, whether a stream asks for it or not')
    .argument('<name>', 'name under which it is served')
    .argument('[manifest]', `${MANIFEST} (default: the one of the name)`)
    .addHelpText(
      'after',
      '\nExamples:\n  framebus model load yolox-nano-416                     then streams can change to it without waiting\n' +
        '  framebus model load people ./people.yaml\n' +
        EXIT_CODES.trimStart(),
    )
    .action((name: string, manifest: string | undefined, options: ChangeOptions) =>
      run(name, options, async (client, limits) => (await client.load(name, manifestOf(manifest), limits)).model),
    );
}

function registerUnload(model: Command): void {
  change(model, 'unload', 'Let a model go that was loaded')
    .argument('<name>', 'name under which it is served')
    .addHelpText('after', '\nExamples:\n  framebus model unload yolox-nano-416\n\nExit code 1 while streams ask for it.')
    .action((name: string, options: ChangeOptions) =>
      run(name, options, async (client, limits) => {
        await client.unload(name, limits);
        return undefined;
      }),
    );
}

function change(model: Command, name: string, description: string): Command {
  const [address, config] = serviceOptions('infer');
  const timeout = new Option('--timeout <seconds>', 'longest wait; after it nothing is changed').default(DEFAULT_TIMEOUT_SECONDS).argParser(seconds);
  return model.command(name).description(description).addOption(address).addOption(config).addOption(timeout).option('--json', 'as JSON');
}

/** Asks for a change, shows on stderr how far it is, and says on stdout how the model is then. */
async function run(
  name: string,
  options: ChangeOptions,
  ask: (client: ModelClient, limits: CallLimits) => Promise<ServedModel | undefined>,
): Promise<void> {
  const client = new ModelClient(serviceAddress('infer', options));
  try {
    const served = await withStop((signal) => withProgress(client, name, () => ask(client, { timeoutMs: options.timeout * 1000, signal })));
    if (options.json === true) print(JSON.stringify(served === undefined ? {} : ServedModel.toJSON(served), null, 2));
    else print(served === undefined ? `${name}: unloaded` : servedLine(served));
  } finally {
    client.close();
  }
}

/** Shows how the model is while something is done to it. */
async function withProgress<T>(client: ModelClient, name: string, work: () => Promise<T>): Promise<T> {
  const screen = new Screen(process.stderr);
  const startedMs = performance.now();
  const done = new AbortController();
  let text = '';
  const show = (): void => {
    if (text !== '') screen.progress(text, performance.now() - startedMs);
  };
  // What goes wrong with watching goes wrong with the change as well.
  const watch = client.watch(done.signal, ({ models }) => {
    const model = models.find((one) => one.name === name);
    const isBusy = model !== undefined && stateText(model) !== 'ready';
    if (isBusy) text = `${name}: ${stateText(model)}`;
    show();
  });
  const timer = process.stderr.isTTY ? setInterval(show, REDRAW_MS) : undefined;
  try {
    return await work();
  } finally {
    clearInterval(timer);
    screen.clear();
    done.abort();
    await watch;
  }
}

/** A path is taken from this folder, not from the worker's. */
function manifestOf(manifest: string | undefined): string {
  if (manifest === undefined) return '';
  if (!/[/\\]|\.(ya?ml|onnx)$/.test(manifest)) return manifest;
  return path.resolve(manifest);
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('Give seconds, from 1 to 86400.');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
