import type * as Onnx from 'onnxruntime-node';
import { FramebusError, messageOf } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { Engine } from './engine.js';
import { InputTensor } from './input_tensor.js';
import { batchSizes, checkInputs, extraTensor, pictureShape, pictureSize, type DeclaredInput } from './model_inputs.js';
import { onnxTensor, outputTensor, tensorInfos } from './onnx_tensor.js';
import type { OutputTensors } from './output_tensor.js';
import type { InputTensorData, TensorInfo } from './tensor_inference.js';

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
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly #runtime: Runtime;
  readonly #session: Onnx.InferenceSession;
  readonly #options: OnnxEngineOptions;
  readonly #input: InputTensor;
  /** Input tensors over the same memory, by batch size. */
  readonly #feeds: ReadonlyMap<number, Onnx.InferenceSession.FeedsType>;

  private constructor(runtime: Runtime, session: Onnx.InferenceSession, options: OnnxEngineOptions) {
    this.#runtime = runtime;
    this.#session = session;
    this.inputs = tensorInfos(session.inputMetadata);
    this.outputs = tensorInfos(session.outputMetadata);
    this.#options = options;
    this.#input = new InputTensor(options.manifest.input.dtype, options.input);
    this.#feeds = new Map(batchSizes(options.manifest, options.maxBatch).map((size) => [size, feedsOf(runtime, options.manifest, this.#input, size)]));
    this.description = `onnxruntime ${runtime.env.versions.node ?? ''} cpu, ${options.threads} thread(s)`;
  }

  /** @throws ENGINE_MISSING, ENGINE_FAILED, MODEL_SHAPE */
  static async load(options: OnnxEngineOptions): Promise<OnnxEngine> {
    const runtime = await loadOnnxRuntime();
    const session = await createSession(runtime, options);
    checkInputs(session.inputMetadata.map(declared), options.manifest);
    return new OnnxEngine(runtime, session, options);
  }

  async run(batch: number): Promise<OutputTensors> {
    const { manifest } = this.#options;
    const size = manifest.batch === 'dynamic' ? batch : manifest.batch;
    const feeds = this.#feeds.get(size);
    if (feeds === undefined) throw new RangeError(`model ${manifest.name}: a batch of ${batch} was not prepared`);
    this.#input.convert(pictureSize(manifest.input) * size);
    return this.#run(feeds);
  }

  async runTensors(inputs: ReadonlyMap<string, InputTensorData>): Promise<OutputTensors> {
    const feeds = [...inputs].map(([name, input]) => [name, onnxTensor(this.#runtime, input)] as const);
    try {
      return await this.#run(Object.fromEntries(feeds));
    } catch (error) {
      throw new FramebusError('ENGINE_FAILED', `model ${this.#options.manifest.name}: ${messageOf(error)}`, { cause: error });
    }
  }

  async #run(feeds: Onnx.InferenceSession.FeedsType): Promise<OutputTensors> {
    const outputs = await this.#session.run(feeds);
    const { name: model } = this.#options.manifest;
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, outputTensor(tensor, name, model)]));
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

function feedsOf(runtime: Runtime, manifest: ModelManifest, input: InputTensor, size: number): Onnx.InferenceSession.FeedsType {
  const { name, dtype } = manifest.input;
  const picture = new runtime.Tensor(dtype, input.data.subarray(0, pictureSize(manifest.input) * size), [size, ...pictureShape(manifest.input)]);
  const extras = manifest.extraInputs.map((extra) => {
    const { type, data, dims } = extraTensor(extra, size);
    // The declared types differ by number of arguments only.
    return [extra.name, new runtime.Tensor(type as 'float32', data as Float32Array, dims)] as const;
  });
  return { [name]: picture, ...Object.fromEntries(extras) };
}

function declared(input: Onnx.InferenceSession.ValueMetadata): DeclaredInput {
  return input.isTensor ? { name: input.name, type: input.type, dims: [...input.shape] } : { name: input.name, type: 'no tensor', dims: [] };
}
