import type * as Onnx from 'onnxruntime-node';
import { FramebusError, messageOf } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { OutputTensors } from './decoder.js';
import type { Engine } from './engine.js';
import { formatShape } from './tensor_shape.js';

type Runtime = typeof Onnx;

export interface OnnxEngineOptions {
  manifest: ModelManifest;
  /** Path of the `.onnx` file. */
  file: string;
  /** Threads that share one operation; 1 runs all on the calling thread. */
  threads: number;
  /** Batch tensor for `maxBatch` pictures; the engine reads from it, the caller writes. */
  input: Float32Array;
  maxBatch: number;
}

/** ONNX Runtime on the CPU. */
export class OnnxEngine implements Engine {
  readonly description: string;
  readonly #session: Onnx.InferenceSession;
  readonly #options: OnnxEngineOptions;
  /** Input tensors over the same memory, by batch size. */
  readonly #feeds: ReadonlyMap<number, Onnx.InferenceSession.FeedsType>;

  private constructor(runtime: Runtime, session: Onnx.InferenceSession, options: OnnxEngineOptions) {
    this.#session = session;
    this.#options = options;
    this.#feeds = new Map(batchSizes(options).map((size) => [size, feedsOf(runtime, options, size)]));
    this.description = `onnxruntime ${runtime.env.versions.node ?? ''} cpu, ${options.threads} thread(s)`;
  }

  /** @throws ENGINE_MISSING, ENGINE_FAILED, MODEL_SHAPE */
  static async load(options: OnnxEngineOptions): Promise<OnnxEngine> {
    const runtime = await loadOnnxRuntime();
    const session = await createSession(runtime, options);
    checkInput(session, options.manifest);
    return new OnnxEngine(runtime, session, options);
  }

  async run(batch: number): Promise<OutputTensors> {
    const { manifest } = this.#options;
    const feeds = this.#feeds.get(manifest.batch === 'dynamic' ? batch : manifest.batch);
    if (feeds === undefined) throw new RangeError(`model ${manifest.name}: a batch of ${batch} was not prepared`);
    const outputs = await this.#session.run(feeds);
    return Object.fromEntries(
      Object.entries(outputs).map(([name, { data, dims }]) => [name, { data: floats(data, name, manifest), dims }]),
    );
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

/** onnxruntime itself, loaded at the first call. @throws ENGINE_MISSING */
export async function loadOnnxRuntime(): Promise<Runtime> {
  try {
    // The package is CommonJS: what it exports is under `default`.
    const loaded = (await import('onnxruntime-node')) as Runtime & { default?: Runtime };
    return loaded.default ?? loaded;
  } catch (error) {
    throw new FramebusError('ENGINE_MISSING', `onnxruntime-node: ${messageOf(error)}`, { cause: error });
  }
}

async function createSession(runtime: Runtime, { manifest, file, threads }: OnnxEngineOptions): Promise<Onnx.InferenceSession> {
  try {
    return await runtime.InferenceSession.create(file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
      // Threads that spin for work would take the cores that decode and encode.
      extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
    });
  } catch (error) {
    throw new FramebusError('ENGINE_FAILED', `model ${manifest.name}: ${file}: ${messageOf(error)}`, {
      cause: error,
      remedy: 'Check that the file is an ONNX model; delete it and fetch it again if it may be damaged.',
    });
  }
}

/** A model of fixed batch size has one; any other is warmed for every size up to the largest. */
function batchSizes({ manifest, maxBatch }: OnnxEngineOptions): number[] {
  return manifest.batch === 'dynamic' ? Array.from({ length: maxBatch }, (_, index) => index + 1) : [manifest.batch];
}

function inputShape({ layout, width, height }: ModelManifest['input']): number[] {
  return layout === 'nchw' ? [3, height, width] : [height, width, 3];
}

function feedsOf(runtime: Runtime, { manifest, input }: OnnxEngineOptions, size: number): Onnx.InferenceSession.FeedsType {
  const shape = inputShape(manifest.input);
  const length = shape.reduce((product, dimension) => product * dimension, size);
  return { [manifest.input.name]: new runtime.Tensor('float32', input.subarray(0, length), [size, ...shape]) };
}

/** Refuses a model whose input is not what the manifest says. */
function checkInput(session: Onnx.InferenceSession, manifest: ModelManifest): void {
  const { name } = manifest.input;
  const expected = [manifest.batch === 'dynamic' ? 'N' : manifest.batch, ...inputShape(manifest.input)];
  const found = session.inputMetadata.find((input) => input.name === name);
  if (found === undefined || session.inputMetadata.length !== 1) {
    const names = session.inputNames.map((input) => `"${input}"`).join(', ');
    throw new FramebusError('MODEL_SHAPE', `model ${manifest.name}: the manifest gives one input "${name}", the model takes ${names}`);
  }
  const actual = found.isTensor ? found.shape : [];
  const fits =
    found.isTensor &&
    found.type === manifest.input.dtype &&
    actual.length === expected.length &&
    expected.every((dimension, axis) => dimensionFits(dimension, actual[axis]));
  if (fits) return;
  const type = found.isTensor ? found.type : 'no tensor';
  throw new FramebusError(
    'MODEL_SHAPE',
    `model ${manifest.name}: input "${name}" is ${type} ${formatShape(actual)}, the manifest says ${manifest.input.dtype} ${formatShape(expected)}`,
  );
}

/** A length that the model leaves open takes any number, and "N" needs one that is open. */
function dimensionFits(expected: number | string, actual: number | string | undefined): boolean {
  const open = typeof actual === 'string' || (typeof actual === 'number' && actual < 0);
  return open || (typeof expected === 'number' && expected === actual);
}

function floats(data: Onnx.Tensor['data'], name: string, manifest: ModelManifest): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new FramebusError('MODEL_SHAPE', `model ${manifest.name}: output "${name}" is not float32`);
}
