/**
 * What the inference service makes of its engine: frames a second of the real service, as a
 * process that is fed over the frame bus with more than it can do, against a bare loop of the
 * same model, batch and threads in a worker thread, in one run. Budget: 0.95.
 *
 *   npm run bench -- infer [--json] [--quick] [--model NAME] [--batch N] [--threads N]
 *
 * Blocks of both take turns, medians. The results are counted on fb.results. Without --model
 * the default model is measured, and YOLOX-Nano 416 (a batch of fixed size) when its file is in
 * the cache or in the folder that FRAMEBUS_TEST_DATA names; "runs" in the JSON has all, its own
 * keys are the default model's. `--quick`: one short block of each.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parseConfig } from '../lib/config.js';
import { PACKAGE_ROOT } from '../lib/package_root.js';
import { ensureModelFile, modelFileHere } from '../models/fetch.js';
import { findManifest, MODELS_DIRECTORY } from '../models/find.js';
import type { ModelManifest } from '../models/manifest.js';
import { engineThreads } from '../services/infer/engine_threads.js';
import { measureInfer, type InferFigures } from './infer/measure.js';
import { inferResult, inferTable } from './infer/report.js';

const DEFAULT_MODEL = 'ssdlite-mobilenet-v2';
/** Model files of the test data, by the manifest that fits them. */
const OTHER_MODELS = new Map([['yolox-nano-416', 'models/yolox_nano_416.onnx']]);

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    model: { type: 'string' },
    batch: { type: 'string' },
    threads: { type: 'string', default: '0' },
  },
});

const defaults = parseConfig('streams: {clip: {source: /dev/null}}', 'defaults');
const folder = mkdtempSync(path.join(tmpdir(), 'framebus-bench-'));
process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
// What was started ends with this process, on its exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const runs: InferFigures[] = [];
for (const model of await models()) {
  process.stderr.write(`${model.manifest.name}\n`);
  runs.push(
    await measureInfer({
      folder: path.join(folder, model.manifest.name),
      ...model,
      batch: batchOf(model.manifest),
      threads: engineThreads(Number(values.threads), 1),
      clip: path.join(defaults.models.cache, 'vtest.avi'),
      effort: values.quick ? { blocks: 1, blockSeconds: 2 } : { blocks: 9, blockSeconds: 3 },
      say: (text) => process.stderr.write(`${text}\n`),
    }),
  );
}
process.stdout.write(`${values.json ? JSON.stringify(inferResult(runs)) : inferTable(runs)}\n`);

function batchOf(manifest: ModelManifest): number {
  if (manifest.batch !== 'dynamic') return manifest.batch;
  return values.batch === undefined ? defaults.infer.batch.size : Number(values.batch);
}

interface MeasuredModel {
  manifest: ModelManifest;
  modelFile: string;
  /** Folders for the service's configuration. */
  manifests: string;
  cache: string;
}

async function models(): Promise<MeasuredModel[]> {
  if (values.model !== undefined) return [await prepared(values.model)];
  const others = [...OTHER_MODELS.keys()].filter((name) => {
    const here = copyOf(name) !== undefined || modelFileHere(findManifest(name), defaults.models.cache) !== null;
    if (!here) process.stderr.write(`${name}: its file is not here; "framebus model fetch ${name}" gets it\n`);
    return here;
  });
  return Promise.all([DEFAULT_MODEL, ...others].map(prepared));
}

async function prepared(name: string): Promise<MeasuredModel> {
  const manifest = findManifest(name);
  const copy = modelFileHere(manifest, defaults.models.cache) === null ? copyOf(name) : undefined;
  const cache = copy === undefined ? defaults.models.cache : path.join(folder, 'models');
  const from = copy === undefined ? {} : { from: copy };
  return { manifest, modelFile: await ensureModelFile(manifest, { cacheDirectory: cache, ...from }), manifests: MODELS_DIRECTORY, cache };
}

function copyOf(name: string): string | undefined {
  const data = path.resolve(PACKAGE_ROOT, process.env['FRAMEBUS_TEST_DATA'] ?? '../shared/data');
  const file = path.join(data, OTHER_MODELS.get(name) ?? `models/${name}.onnx`);
  return existsSync(file) ? file : undefined;
}
