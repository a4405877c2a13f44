import { InvalidArgumentError, Option, type Command } from 'commander';
import path from 'node:path';
import { bytesText } from '../bytes.js';
import { Screen } from '../demo/screen.js';
import type { BuildPrecision } from './build_arguments.js';
import { BuildDisplay } from './build_display.js';
import { buildPlan } from './build_plan.js';
import { fetchModel, withStop } from './fetch_models.js';
import { knownManifest, modelFolders } from './known_models.js';

interface BuildOptions {
  config?: string;
  json?: true;
  batch?: number;
  precision?: BuildPrecision;
  device: number;
  versionCompatible?: true;
  trtexec?: string;
  out?: string;
}

/** Adds `framebus model build`. */
export function registerBuild(model: Command): void {
  model
    .command('build')
    .description('Build a TensorRT plan of a model for this machine’s GPU, with trtexec')
    .argument('<name>', 'name of a model, or path of a manifest')
    .option('--batch <n>', 'largest batch, which kernels are chosen for (default: infer.batch.size)', wholeNumber(1, 1024))
    .addOption(new Option('--precision <type>', 'fp32 (default) or fp16; TensorRT 11 takes the model’s own').choices(['fp32', 'fp16']))
    .option('--device <n>', 'number of the GPU', wholeNumber(0, 255), 0)
    .option('--version-compatible', 'a plan that newer TensorRT versions run, too; slower')
    .option('--trtexec <file>', 'the program (default: from the PATH, then where TensorRT’s packages put it)')
    .option('-o, --out <file>', 'the plan (default: beside the model, where infer looks for it)')
    .option('-c, --config <file>', 'configuration with models.directory (default: framebus.yaml if there is one)')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nTakes minutes. Writes the plan, and beside it PLAN.json with what it fits: a plan runs on the GPU and\n' +
        'the TensorRT that it was built with. infer.engine: auto or tensorrt then takes it.\n' +
        '\nExamples:\n  framebus model build yolox-nano-416 --batch 8 --precision fp16\n' +
        '  framebus model build my-model --trtexec /opt/TensorRT-10.3.0.26/bin/trtexec',
    )
    .action((name: string, options: BuildOptions) => build(name, options));
}

async function build(name: string, options: BuildOptions): Promise<void> {
  const { directory, cache, infer } = modelFolders(options.config);
  const manifest = knownManifest(name, directory);
  const display = new BuildDisplay(manifest.name, new Screen(process.stderr), process.stderr);
  const startedAtMs = performance.now();
  const { file, sidecar } = await withStop(async (signal) => {
    const model = await fetchModel(manifest, { cacheDirectory: cache, signal });
    try {
      return await buildPlan({
        manifest,
        modelFile: model.file,
        batch: options.batch ?? infer.batch,
        precision: options.precision ?? null,
        device: options.device,
        versionCompatible: options.versionCompatible === true,
        trtexec: options.trtexec === undefined ? null : path.resolve(options.trtexec),
        out: options.out ?? null,
        onProgress: display.update,
        signal,
      });
    } finally {
      display.close();
    }
  });
  const seconds = Math.round((performance.now() - startedAtMs) / 1000);
  if (options.json === true) {
    print(JSON.stringify({ model: manifest.name, plan: file, seconds, ...sidecar }, null, 2));
    return;
  }
  const { tensorrt, gpu, compute_capability: capability, precision, min_batch: least, max_batch: most } = sidecar;
  const batches = least === most ? `batch ${most}` : `batches of ${least} to ${most}`;
  print(`${manifest.name}: ${file} (${bytesText(sidecar.plan_bytes)}, ${seconds} s)`);
  print(`  TensorRT ${tensorrt}, ${gpu} (${capability}), ${precision === 'model' ? 'the model’s own precision' : precision}, ${batches}`);
}

const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
