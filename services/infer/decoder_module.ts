import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { FramebusError, messageOf } from '../../lib/errors.js';
import type { DecoderOptionsOf } from '../../models/decoder_options.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { Decoder, DecoderModule } from './decoder.js';
import { checkBytes } from './decoder_raw.js';
import type { Findings } from './findings.js';
import type { OutputTensors } from './output_tensor.js';
import { formatOutputs } from './tensor_shape.js';

/** Loads a user's module into this thread and makes its decoder. @throws MODEL_DECODER, naming the file and the cause */
export async function loadModuleDecoder(manifest: ModelManifest, options: DecoderOptionsOf<'module'>): Promise<Decoder> {
  const fail = failure(manifest, options.module);
  const module = await importModule(options.module, fail);
  let decoder: unknown;
  try {
    decoder = await module.createDecoder({ manifest, options: options.options });
  } catch (error) {
    throw fail(`createDecoder: ${messageOf(error)}`, error);
  }
  if (!isDecoder(decoder)) throw fail('createDecoder returned no object with the functions check and decode');
  return new ModuleDecoder(manifest, options, decoder);
}

type Fail = (cause: string, error?: unknown) => FramebusError;

const failure =
  ({ name }: ModelManifest, file: string): Fail =>
  (cause, error) =>
    new FramebusError('MODEL_DECODER', `model ${name}: decoder module ${file}: ${cause}`, { cause: error });

async function importModule(file: string, fail: Fail): Promise<DecoderModule> {
  if (!existsSync(file)) throw fail('there is no such file');
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw fail(`${placeOf(error)}${messageOf(error)}`, error);
  }
  if (typeof module['createDecoder'] === 'function') return module as unknown as DecoderModule;
  const names = Object.keys(module).toSorted();
  throw fail(`it exports no function createDecoder; it exports ${names.length === 0 ? 'nothing' : names.join(', ')}`);
}

/** Where a syntax error is; Node says so in the first line of the stack only. */
function placeOf(error: unknown): string {
  const line = error instanceof SyntaxError ? /^file:\/\/\S+:(\d+)\n/.exec(error.stack ?? '')?.[1] : undefined;
  return line === undefined ? '' : `line ${line}: `;
}

const isDecoder = (value: unknown): value is Decoder =>
  typeof value === 'object' &&
  value !== null &&
  'check' in value &&
  typeof value.check === 'function' &&
  'decode' in value &&
  typeof value.decode === 'function';

/** A user's decoder, what it throws and what it finds looked at. */
class ModuleDecoder implements Decoder {
  readonly #manifest: ModelManifest;
  readonly #options: DecoderOptionsOf<'module'>;
  readonly #inner: Decoder;
  readonly #fail: Fail;

  constructor(manifest: ModelManifest, options: DecoderOptionsOf<'module'>, inner: Decoder) {
    this.#manifest = manifest;
    this.#options = options;
    this.#inner = inner;
    this.#fail = failure(manifest, options.module);
  }

  check(outputs: OutputTensors, batch: number): void {
    try {
      this.#inner.check(outputs, batch);
    } catch (error) {
      throw this.#fail(`check: ${messageOf(error)}; the model has ${formatOutputs(outputs)}`, error);
    }
  }

  decode(outputs: OutputTensors, frame: number, thresholds: Float64Array, into: Findings): void {
    try {
      this.#inner.decode(outputs, frame, thresholds, into);
    } catch (error) {
      throw this.#fail(`decode: ${messageOf(error)}`, error);
    }
    this.#checkTask(into);
    this.#checkBoxes(into, thresholds);
    this.#checkMap(into);
    checkBytes(this.#manifest.name, this.#options.maxBytes, into.tensors);
  }

  /** What does not belong to the task would be lost without a word. */
  #checkTask({ boxes, classes, map, tensors }: Findings): void {
    const found = {
      detect: boxes.count > 0 && 'boxes',
      classify: classes.length > 0 && 'classes',
      segment: map !== null && 'a class map',
      raw: tensors.length > 0 && 'tensors',
    };
    const { task } = this.#manifest;
    for (const [other, what] of Object.entries(found)) {
      if (other !== task && what !== false) throw this.#fail(`decode: it gave ${what}, the manifest's task is ${task}`);
    }
  }

  #checkBoxes({ boxes: candidates }: Findings, thresholds: Float64Array): void {
    const { boxes, scores, classes, count } = candidates;
    const wrong = boxes.subarray(0, count * 4).findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) throw this.#fail(`decode: box ${Math.floor(wrong / 4)}: a coordinate is ${String(boxes[wrong])}`);
    candidates.retain((index) => (scores[index] as number) > (thresholds[classes[index] as number] ?? Number.NaN));
  }

  #checkMap({ map }: Findings): void {
    if (map === null || map.width * map.height === map.classes.length) return;
    throw this.#fail(`decode: the class map has ${map.classes.length} cells, its size is ${map.width} × ${map.height}`);
  }
}
