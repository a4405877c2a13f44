import { onTestFinished } from 'vitest';
import type * as Onnx from 'onnxruntime-node';
import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { OnnxGraph } from '../../models/onnx_graph.js';
import { TENSOR_ARRAYS } from '../../services/infer/input_tensor.js';
import { loadOnnxRuntime } from '../../services/infer/onnx_engine.js';
import type { TensorType } from '../../services/infer/output_tensor.js';
import type { InputTensorData, OutputTensorData, TensorInfo, TensorModels } from '../../services/infer/tensor_inference.js';
import { tempFile } from './temp.js';

interface LoadedModel {
  manifest: ModelManifest;
  session: Onnx.InferenceSession;
  maxBatch: number;
  generation: number;
}

/** Models of ONNX Runtime in this process, with nothing between. */
export class OnnxTensorModels implements TensorModels {
  readonly #models = new Map<string, LoadedModel>();
  readonly #loading = new Set<string>();
  /** Awaited before every run. */
  gate: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  /** Names of the models that were run, in order. */
  readonly runs: string[] = [];

  /** Loads a graph, or another in its place. */
  async add(name: string, manifest: ModelManifest, graph: OnnxGraph, maxBatch: number): Promise<void> {
    const runtime = await loadOnnxRuntime();
    const session = await runtime.InferenceSession.create(tempFile('m.onnx', graph.finish('test')), { intraOpNumThreads: 1 });
    onTestFinished(() => session.release());
    this.#models.set(name, { manifest, session, maxBatch, generation: (this.#models.get(name)?.generation ?? 0) + 1 });
  }

  /** A name whose model is not there yet. */
  addLoading(name: string): void {
    this.#loading.add(name);
  }

  names(): string[] {
    return [...this.#models.keys(), ...this.#loading];
  }

  ready(name: string): boolean {
    return this.#models.has(name);
  }

  signature(name: string): ReturnType<TensorModels['signature']> {
    const { manifest, session, maxBatch, generation } = this.#model(name);
    const inputs = session.inputMetadata.map(infoOf);
    return { manifest, generation, maxBatch, engine: 'onnxruntime 1 cpu', inputs, outputs: session.outputMetadata.map(infoOf) };
  }

  async run(name: string, inputs: ReadonlyMap<string, InputTensorData>, signal: AbortSignal): Promise<OutputTensorData[]> {
    const { session } = this.#model(name);
    this.runs.push(name);
    await this.gate(signal);
    const runtime = await loadOnnxRuntime();
    const feeds = [...inputs].map(([input, { type, dims, bytes }]) => {
      const data = new TENSOR_ARRAYS[type](bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / TENSOR_ARRAYS[type].BYTES_PER_ELEMENT);
      return [input, new runtime.Tensor(type, data, dims)] as const;
    });
    const outputs = await session.run(Object.fromEntries(feeds));
    return Object.entries(outputs).map(([output, { type, dims, data }]) => {
      const array = data as Exclude<Onnx.Tensor['data'], string[]>;
      return { name: output, type: type as TensorType, dims: [...dims], bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
    });
  }

  #model(name: string): LoadedModel {
    const model = this.#models.get(name);
    if (model !== undefined) return model;
    if (this.#loading.has(name)) throw new FramebusError('MODEL_NOT_READY', `model ${name}: it is being loaded`);
    throw new FramebusError('MODEL_NOT_FOUND', `model "${name}": it is not served`);
  }
}

function infoOf(metadata: Onnx.InferenceSession.ValueMetadata): TensorInfo {
  if (!metadata.isTensor) throw new Error(`${metadata.name} is no tensor`);
  const dims = metadata.shape.map((length) => (typeof length === 'number' && length >= 0 ? length : -1));
  return { name: metadata.name, type: metadata.type as TensorType, dims };
}
