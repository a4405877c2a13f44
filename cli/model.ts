import { InvalidArgumentError, type Command } from 'commander';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describeError, EXIT, exitCodeOf, FramebusError } from '../lib/errors.js';
import { disableOnnxTelemetry } from '../lib/onnx_telemetry.js';
import { engineThreads } from '../services/infer/engine_threads.js';
import { bytesText } from './bytes.js';
import { registerBuild } from './model/build_command.js';
import { registerChanges } from './model/changes.js';
import { fetchModel, fetchModels, withStop } from './model/fetch_models.js';
import { inspectBareFile, inspectionReport, inspectModel } from './model/inspection.js';
import { knownManifest, knownModels, modelFolders } from './model/known_models.js';
import { modelEntry, modelTable } from './model/model_list.js';
import { pictureJson, pictureReport } from './model/picture_report.js';
import { testPicture } from './model/picture_test.js';
import { registerServed } from './model/served.js';
import { savePicture } from './picture_file.js';

interface CommonOptions {
  config?: string;
  json?: true;
}

interface FetchOptions {
  config?: string;
  all?: true;
  from?: string;
}

interface TestOptions extends CommonOptions {
  /** false: --no-out. */
  out: string | boolean;
  minConfidence?: number;
}

const EXAMPLES = `
Examples:
  framebus model ls                                    what there is, what is fetched
  framebus model fetch yolox-nano-416                  fetch a model and check it
  framebus model inspect my-model.onnx                 what a file takes and gives
  framebus model test yolox-nano-416 street.jpg        what a model sees in a picture
  framebus model build yolox-nano-416 --batch 8        a TensorRT plan for this machine’s GPU
  framebus model status                                what running workers serve
  framebus model swap NAME OTHER                       another model, while streams run

Another model is a YAML file in the folder of models.directory; framebus's own are examples.`;

/** Adds `framebus model`. */
export function registerModel(program: Command): void {
  const model = program.command('model').description('List, fetch, inspect, try and build models; change those of running workers').addHelpText('after', EXAMPLES);
  registerList(model);
  registerFetch(model);
  registerInspect(model);
  registerTest(model);
  registerBuild(model);
  registerServed(model);
  registerChanges(model);
}

const configOption = ['-c, --config <file>', 'configuration with models.directory (default: framebus.yaml if there is one)'] as const;

function registerList(model: Command): void {
  model
    .command('ls')
    .description('Show the known models: framebus’s own and those of models.directory')
    .option(...configOption)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples:\n  framebus model ls\n  framebus model ls --json | jq -r ".models[] | select(.file == null) | .name"')
    .action(({ config, json }: CommonOptions) => list(config, json === true));
}

function list(config: string | undefined, json: boolean): void {
  const { directory, cache } = modelFolders(config);
  const known = knownModels(directory);
  const models = known.flatMap((one) => ('manifest' in one ? [modelEntry(one.manifest, cache)] : []));
  print(json ? JSON.stringify({ models }, null, 2) : modelTable(models));
  complain(known.flatMap((one) => ('error' in one ? [one.error] : [])));
}

function registerFetch(model: Command): void {
  model
    .command('fetch')
    .description('Fetch models into the cache and check them; a model that is there already is checked only')
    .argument('[name...]', 'names of models, or paths of manifests')
    .option('--all', 'every known model')
    .option('--from <file>', 'take this copy of the file instead of fetching it')
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExamples:\n  framebus model fetch yolox-nano-416 yolox-nano-640\n  framebus model fetch --all\n' +
        '  framebus model fetch yolox-nano-416 --from /media/usb/yolox_nano.onnx',
    )
    .action((names: string[], options: FetchOptions) => fetchAll(names, options));
}

async function fetchAll(names: readonly string[], { config, all, from }: FetchOptions): Promise<void> {
  if ((names.length === 0) === (all === undefined)) {
    throw new FramebusError('USAGE', 'model fetch: name the models, or give --all');
  }
  if (from !== undefined && names.length !== 1) throw new FramebusError('USAGE', 'model fetch: --from goes with one name');
  const { directory, cache } = modelFolders(config);
  // All names are looked up before anything is fetched.
  const known = all === true ? knownModels(directory) : names.map((name) => ({ name, manifest: knownManifest(name, directory) }));
  const failures = known.flatMap((one) => ('error' in one ? [one.error] : []));
  const manifests = known.flatMap((one) => ('manifest' in one ? [one.manifest] : []));
  await withStop(async (signal) => {
    const options = { cacheDirectory: cache, signal, ...(from === undefined ? {} : { from }) };
    for await (const { name, result } of fetchModels(manifests, options)) {
      if ('error' in result) {
        failures.push(result.error);
        continue;
      }
      const how = result.fetched ? 'fetched and checked' : 'here already, checked';
      print(`${name}: ${result.file} (${bytesText(result.bytes)}, ${how})`);
    }
  });
  complain(failures);
}

function registerInspect(model: Command): void {
  model
    .command('inspect')
    .description('Show what a manifest says, what the file takes and gives, and whether they fit')
    .argument('<name|file>', 'name of a model, path of a manifest, or an ONNX file')
    .option(...configOption)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  framebus model inspect ssdlite-mobilenet-v2\n  framebus model inspect ./my-model.onnx --json | jq .file.outputs' +
        '\n\nExit code 65 when the file does not fit its manifest.',
    )
    .action((name: string, { config, json }: CommonOptions) => inspect(name, config, json === true));
}

async function inspect(name: string, config: string | undefined, json: boolean): Promise<void> {
  disableOnnxTelemetry();
  const { directory, cache } = modelFolders(config);
  const isBare = name.endsWith('.onnx') && existsSync(name) && !hasManifestBeside(name);
  const inspection = isBare
    ? await inspectBareFile(path.resolve(name))
    : await inspectModel(knownManifest(name, directory), cache);
  print(json ? JSON.stringify(inspection, null, 2) : inspectionReport(inspection));
  if ((inspection.problems?.length ?? 0) > 0) process.exitCode = EXIT.data;
}

const hasManifestBeside = (onnx: string): boolean =>
  ['.yaml', '.yml'].some((ending) => existsSync(onnx.replace(/\.onnx$/, ending)));

function registerTest(model: Command): void {
  model
    .command('test')
    .description('Run a model on one picture and show what it sees, as the service would see it')
    .argument('<name>', 'name of a model, or path of a manifest')
    .argument('<image>', 'JPEG or PNG picture; of a video the first frame is taken')
    .option('-o, --out <file>', 'where the picture with what was seen goes, as JPEG (default: IMAGE.MODEL.jpg in this folder)', true)
    .option('--no-out', 'write no picture')
    .option('--min-confidence <0-1>', 'in the place of the model’s own thresholds', confidence)
    .option(...configOption)
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  framebus model test ssdlite-mobilenet-v2 street.jpg\n' +
        '  framebus model test yolox-nano-416 street.png --out seen.jpg --min-confidence 0.2\n' +
        '  framebus model test ssdlite-mobilenet-v2 street.jpg --no-out --json | jq ".detections[].label"',
    )
    .action((name: string, image: string, options: TestOptions) => test(name, image, options));
}

async function test(name: string, image: string, { config, json, out, minConfidence }: TestOptions): Promise<void> {
  disableOnnxTelemetry();
  const { directory, cache, infer } = modelFolders(config);
  const manifest = knownManifest(name, directory);
  const target = outFile(out, image, manifest.name);
  const { file } = await withStop((signal) => fetchModel(manifest, { cacheDirectory: cache, signal }));
  const result = await testPicture({
    manifest,
    modelFile: file,
    threads: engineThreads(infer.threads, infer.executors),
    image,
    minConfidence: minConfidence ?? null,
    draw: target !== null,
  });
  if (target !== null && result.jpeg !== null) savePicture(target, result.jpeg);
  if (json === true) print(JSON.stringify(pictureJson(result, { model: manifest.name, image, out: target }), null, 2));
  else print(pictureReport(result, image) + (target === null ? '' : `\n${target}: the picture with what was seen`));
}

/** null: no picture is wanted. @throws USAGE */
function outFile(out: string | boolean, image: string, model: string): string | null {
  if (out === false) return null;
  if (out === true) return `${path.basename(image, path.extname(image))}.${model}.jpg`;
  if (/\.jpe?g$/i.test(out)) return out;
  throw new FramebusError('USAGE', `--out ${out}: the picture is a JPEG; its name must end in .jpg`);
}

function confidence(text: string): number {
  const value = Number(text);
  if (text !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('Give a number from 0 to 1.');
}

/** Tells of all that went wrong; the exit code is the first one's. */
function complain(errors: readonly unknown[]): void {
  for (const error of errors) process.stderr.write(`framebus: ${describeError(error)}\n`);
  if (errors.length > 0) process.exitCode = exitCodeOf(errors[0]);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
