import { existsSync } from 'node:fs';
import path from 'node:path';
import { FramebusError, messageOf, toFramebusError } from '../../lib/errors.js';
import { sha256Of } from '../../models/fetch.js';
import type { ModelManifest } from '../../models/manifest.js';
import type { EnginePlatform } from '../../native/contract.js';
import { addonPath, preprocess, probeEngine } from '../../native/index.js';
import type { Preprocess } from './detector.js';
import type { Engine } from './engine.js';
import { findPlan, type EnginePlan } from './engine_sidecar.js';
import { batchSizes, pictureSize } from './model_inputs.js';
import { OnnxEngine } from './onnx_engine.js';
import { PluginEngine } from './plugin_engine.js';

/** The first GPU that the process sees; CUDA_VISIBLE_DEVICES chooses another. */
const DEVICE = 0;

export interface CreateEngineOptions {
  /** `infer.engine`: auto, onnxruntime, tensorrt, or the path of a library. */
  engine: string;
  manifest: ModelManifest;
  /** Path of the model file. */
  modelFile: string;
  /** Threads of the engine. */
  threads: number;
  /** Most frames of a batch. */
  maxBatch: number;
}

/** An engine that is loaded, and how frames get into it. */
export interface CreatedEngine {
  engine: Engine;
  /** Writes frames into the input that the engine reads. */
  preprocess: Preprocess;
  /** Why it is this engine, for the log; null when it was asked for by name. */
  reason: string | null;
}

/**
 * Loads a model into the engine that the configuration chooses, on the calling thread. `auto` takes
 * TensorRT where it can run this model, and says why it does not; an engine that is named is taken,
 * or nothing is.
 *
 * @throws ENGINE_…, MODEL_SHAPE
 */
export async function createEngine(options: CreateEngineOptions): Promise<CreatedEngine> {
  const { engine } = options;
  if (engine === 'onnxruntime') return { ...(await onnxruntime(options)), reason: null };
  if (engine === 'tensorrt') return { ...(await tensorrt(options)), reason: null };
  if (engine !== 'auto') return { ...plugin(options, engine, options.modelFile), reason: null };
  return automatic(options);
}

/** TensorRT where it can run this model; if it cannot, for whatever reason, onnxruntime. */
async function automatic(options: CreateEngineOptions): Promise<CreatedEngine> {
  const { plan, reason } = await planForAuto(options);
  if (plan === null) return { ...(await onnxruntime(options)), reason };
  try {
    return { ...(await fromPlan(options, plan)), reason };
  } catch (error) {
    const why = messageOf(toFramebusError(error));
    return { ...(await onnxruntime(options)), reason: `onnxruntime: the TensorRT plan cannot be used: ${why}` };
  }
}

/** Where TensorRT's plugin lies when it was built: beside the addon. */
export function tensorrtLibrary(): string {
  return path.join(path.dirname(addonPath()), 'libframebus_engine_tensorrt.so');
}

type Loaded = Omit<CreatedEngine, 'reason'>;

async function onnxruntime({ manifest, modelFile, threads, maxBatch }: CreateEngineOptions): Promise<Loaded> {
  const pictures = Math.max(...batchSizes(manifest, maxBatch));
  const input = new Float32Array(pictures * pictureSize(manifest.input));
  const engine = await OnnxEngine.load({ manifest, file: modelFile, threads, input, maxBatch });
  return { engine, preprocess: (frames, spec) => preprocess(frames, spec, input) };
}

function plugin({ manifest, threads, maxBatch }: CreateEngineOptions, library: string, file: string): Loaded {
  const engine = PluginEngine.load({ manifest, library, file, device: DEVICE, threads, maxBatch });
  return { engine, preprocess: engine.preprocess };
}

async function tensorrt(options: CreateEngineOptions): Promise<Loaded> {
  const platform = await tensorrtPlatform();
  const { plan, refused } = await findPlanFor(options, platform);
  if (plan !== null) return fromPlan(options, plan);
  throw noPlan(options, platform, refused);
}

/** @throws ENGINE_…, also when the plan is not the one that was built */
async function fromPlan(options: CreateEngineOptions, { file, sidecar }: EnginePlan): Promise<Loaded> {
  const sha256 = await sha256Of(file);
  if (sha256 !== sidecar.plan_sha256) {
    throw new FramebusError('ENGINE_DAMAGED', `${file}: it has SHA-256 ${sha256}, and had ${sidecar.plan_sha256} when it was built`);
  }
  return plugin(options, tensorrtLibrary(), file);
}

function noPlan({ manifest, modelFile, maxBatch }: CreateEngineOptions, platform: EnginePlatform, refused: string[]): FramebusError {
  const { version, architecture, device } = platform;
  const found = refused.length === 0 ? 'there is none' : refused.join('; ');
  return new FramebusError(
    'ENGINE_PLAN',
    `model ${manifest.name}: no plan beside ${modelFile} is for TensorRT ${version} on ${device} (${architecture}): ${found}`,
    {
      remedy:
        `Build one with "framebus model build ${manifest.name}${manifest.batch === 'dynamic' ? ` --batch ${maxBatch}` : ''}", ` +
        'or set infer.engine to onnxruntime.',
    },
  );
}

/** What TensorRT would run on here. @throws ENGINE_MISSING, ENGINE_FAILED */
export async function tensorrtPlatform(): Promise<EnginePlatform> {
  const library = tensorrtLibrary();
  if (!existsSync(library)) {
    throw new FramebusError('ENGINE_MISSING', `TensorRT: the plugin ${library} is not built`, {
      remedy: 'Set FRAMEBUS_TENSORRT_INCLUDE to the folder of NvInfer.h and run "npm run build:native"; see docs/engines.md.',
    });
  }
  return probeEngine(library, DEVICE);
}

async function findPlanFor({ manifest, modelFile, maxBatch }: CreateEngineOptions, platform: EnginePlatform) {
  const onnxSha256 = manifest.source.sha256 ?? (await sha256Of(modelFile));
  return findPlan(modelFile, platform, { onnxSha256, batches: batchSizes(manifest, maxBatch) });
}

/** For `auto`: the plan, or none; and why. */
async function planForAuto(options: CreateEngineOptions): Promise<{ plan: EnginePlan | null; reason: string }> {
  if (!existsSync(tensorrtLibrary())) return { plan: null, reason: 'onnxruntime: the TensorRT plugin is not built' };
  let platform: EnginePlatform;
  try {
    platform = await tensorrtPlatform();
  } catch (error) {
    return { plan: null, reason: `onnxruntime: TensorRT does not run here: ${messageOf(toFramebusError(error))}` };
  }
  const { plan, refused } = await findPlanFor(options, platform);
  if (plan !== null) return { plan, reason: `tensorrt: ${path.basename(plan.file)} fits` };
  const why = refused.length === 0 ? `there is none; "framebus model build ${options.manifest.name}" makes one` : refused.join('; ');
  return { plan: null, reason: `onnxruntime: no TensorRT plan fits: ${why}` };
}
