import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { EngineTensor, PluginEngine as NativeEngine } from '../../native/contract.js';
import { openEngine, preprocess } from '../../native/index.js';
import type { Preprocess } from './detector.js';
import type { Engine } from './engine.js';
import { InputTensor, TENSOR_ARRAYS } from './input_tensor.js';
import { batchSizes, checkInputs, extraTensor, pictureShape, pictureSize } from './model_inputs.js';
import type { OutputTensors } from './output_tensor.js';
import type { InputTensorData, TensorInfo } from './tensor_inference.js';

export interface PluginEngineOptions {
  manifest: ModelManifest;
  /** Path of the engine's shared library. */
  library: string;
  /** Path of the model that the engine loads. */
  file: string;
  /** Number of the device. */
  device: number;
  /** Threads of one run on the CPU; 0: as the engine likes. */
  threads: number;
  maxBatch: number;
}

/** An engine that is a shared library; see docs/engines.md. */
export class PluginEngine implements Engine {
  readonly description: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly #native: NativeEngine;
  readonly #manifest: ModelManifest;
  /** The batch tensor, for models that take no float32; the others' is the native side's. */
  readonly #floats: Float32Array | null = null;
  readonly #input: InputTensor | null = null;
  /** The model's other inputs, by batch size. */
  readonly #others: ReadonlyMap<number, EngineTensor[]>;

  private constructor(native: NativeEngine, { manifest, maxBatch }: PluginEngineOptions) {
    this.#native = native;
    this.#manifest = manifest;
    const { engine, version, device, precision, inputs, outputs } = native.describe();
    this.description = `${engine} ${version} on ${device}${precision === null ? '' : `, ${precision}`}`;
    this.inputs = inputs;
    this.outputs = outputs;
    checkInputs(inputs, manifest);
    const sizes = batchSizes(manifest, maxBatch);
    this.#others = new Map(sizes.map((size) => [size, othersOf(manifest, size)]));
    const { name, width, height, layout, dtype } = manifest.input;
    const pictures = Math.max(...sizes);
    if (dtype === 'float32') {
      native.preparePictures(name, height, width, layout, pictures);
    } else {
      this.#floats = new Float32Array(pictureSize(manifest.input) * pictures);
      this.#input = new InputTensor(dtype, this.#floats);
    }
  }

  /**
   * Loads the library and the model, on the calling thread.
   *
   * @throws ENGINE_MISSING, ENGINE_ABI, ENGINE_VERSION, ENGINE_DEVICE, ENGINE_DAMAGED,
   * ENGINE_MEMORY, ENGINE_FAILED, MODEL_SHAPE
   */
  static load(options: PluginEngineOptions): PluginEngine {
    const { manifest, library, file, device, threads, maxBatch } = options;
    const largest = Math.max(...batchSizes(manifest, maxBatch));
    const native = openEngine({ library, model: file, device, threads, maxBatch: largest });
    try {
      return new PluginEngine(native, options);
    } catch (error) {
      native.close();
      throw error;
    }
  }

  /** Writes frames where `run` reads pictures. @throws FRAME_RELEASED */
  readonly preprocess: Preprocess = (frames, spec) =>
    this.#floats === null ? this.#native.preprocess(frames, spec) : preprocess(frames, spec, this.#floats);

  run(batch: number): Promise<OutputTensors> {
    return promised(() => this.#run(batch));
  }

  runTensors(inputs: ReadonlyMap<string, InputTensorData>): Promise<OutputTensors> {
    return promised(() => named(this.#native.runTensors([...inputs].map(([name, input]) => toTensor(name, input)))));
  }

  /** The outputs of the last run have length 0 afterwards. */
  close(): Promise<void> {
    return promised(() => this.#native.close());
  }

  #run(batch: number): OutputTensors {
    const size = this.#manifest.batch === 'dynamic' ? batch : this.#manifest.batch;
    const others = this.#others.get(size);
    if (others === undefined) throw new RangeError(`model ${this.#manifest.name}: a batch of ${batch} was not prepared`);
    if (this.#input === null) return named(this.#native.run(size, others));
    return named(this.#native.runTensors([this.#picture(this.#input, size), ...others]));
  }

  #picture(input: InputTensor, size: number): EngineTensor {
    const { name, dtype } = this.#manifest.input;
    const count = pictureSize(this.#manifest.input) * size;
    input.convert(count);
    return { name, type: dtype, dims: [size, ...pictureShape(this.#manifest.input)], data: input.data.subarray(0, count) };
  }
}

function othersOf({ extraInputs }: ModelManifest, size: number): EngineTensor[] {
  return extraInputs.map((extra) => {
    const { type, data, dims } = extraTensor(extra, size);
    return { name: extra.name, type, data, dims: [...dims] };
  });
}

/** A tensor of a client; its bytes are copied, because they may lie at any address. */
function toTensor(name: string, { type, dims, bytes }: InputTensorData): EngineTensor {
  const TypedArray = TENSOR_ARRAYS[type];
  if (bytes.byteLength % TypedArray.BYTES_PER_ELEMENT !== 0) {
    throw new FramebusError('ENGINE_FAILED', `input "${name}": ${bytes.byteLength} bytes are no whole ${type} numbers`);
  }
  return { name, type, dims, data: new TypedArray(bytes.slice().buffer as never) };
}

/** What the calling thread does at once, as a promise. */
const promised = <T>(work: () => T): Promise<T> => new Promise((resolve) => resolve(work()));

const named = (tensors: readonly EngineTensor[]): OutputTensors =>
  Object.fromEntries(tensors.map(({ name, type, data, dims }) => [name, { type, data, dims }]));
