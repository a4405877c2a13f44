import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { FramebusError, messageOf } from '../../lib/errors.js';

const VERSION = /^\d+\.\d+\.\d+$/;

const schema = z.object({
  format: z.literal(1),
  tensorrt: z.string().regex(VERSION),
  compute_capability: z.string().regex(/^\d+\.\d+$/),
  gpu: z.string(),
  onnx_sha256: z.string(),
  plan_bytes: z.number().int().positive(),
  plan_sha256: z.string(),
  precision: z.enum(['fp32', 'fp16', 'model']),
  min_batch: z.number().int().positive(),
  opt_batch: z.number().int().positive(),
  max_batch: z.number().int().positive(),
  version_compatible: z.boolean(),
  built: z.string(),
});

/** What `framebus model build` writes beside a TensorRT plan, as `PLAN.json`. Flat: the engine reads it, too. */
export type EngineSidecar = z.infer<typeof schema>;

/** A plan and what it was built for. */
export interface EnginePlan {
  /** Path of the plan. */
  file: string;
  sidecar: EngineSidecar;
}

/** What would run a plan; see `EnginePlatform` of the addon. */
export interface PlanPlatform {
  /** Version of TensorRT. */
  version: string;
  /** Compute capability. */
  architecture: string;
}

/** What is wanted of a plan. */
export interface PlanWish {
  onnxSha256: string;
  /** Batch sizes that will be asked for. */
  batches: readonly number[];
}

export const sidecarFile = (plan: string): string => `${plan}.json`;

/** Name of a plan: all that it fits only, so that plans for several machines lie side by side. */
export function planFile(
  modelFile: string,
  { version, architecture, precision, maxBatch }: PlanPlatform & { precision: string; maxBatch: number },
): string {
  return `${stemOf(modelFile)}.trt${version}-sm${architecture.replace('.', '')}-${precision}-b${maxBatch}.plan`;
}

/** @throws ENGINE_DAMAGED */
export function readSidecar(plan: string): EngineSidecar {
  const file = sidecarFile(plan);
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new FramebusError('ENGINE_DAMAGED', `${file}: ${messageOf(error)}`, { cause: error });
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FramebusError('ENGINE_DAMAGED', `${file}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is wrong'}`);
}

/** Why a plan cannot be used; null when it can. */
export function misfit(sidecar: EngineSidecar, platform: PlanPlatform, wish: PlanWish): string | null {
  const { tensorrt, compute_capability: capability, gpu } = sidecar;
  if (sidecar.onnx_sha256 !== wish.onnxSha256) return 'built from another model file';
  if (!versionFits(tensorrt, platform.version, sidecar.version_compatible)) {
    return `built for TensorRT ${tensorrt}, this is ${platform.version}`;
  }
  if (capability !== platform.architecture) {
    return `built for compute capability ${capability} (${gpu}), this is ${platform.architecture}`;
  }
  const [least, most] = [Math.min(...wish.batches), Math.max(...wish.batches)];
  if (least < sidecar.min_batch || most > sidecar.max_batch) {
    const needed = least === most ? `${most}` : `${least} to ${most}`;
    return `built for batches of ${sidecar.min_batch} to ${sidecar.max_batch}, ${needed} are needed`;
  }
  return null;
}

/** A plan runs on the TensorRT that made it; a version-compatible one on newer ones of the same major version, too. */
function versionFits(built: string, here: string, compatible: boolean): boolean {
  if (built === here) return true;
  const [was, is] = [built, here].map((text) => text.split('.').map(Number));
  if (!compatible || was === undefined || is === undefined || was[0] !== is[0]) return false;
  return was.reduce((order, number, index) => (order === 0 ? Math.sign((is[index] ?? 0) - number) : order), 0) >= 0;
}

/** The newest plan that fits, or why none does. */
export interface FoundPlan {
  plan: EnginePlan | null;
  /** One line a plan that does not fit. */
  refused: string[];
}

/** Looks at the plans that lie beside a model file. */
export function findPlan(modelFile: string, platform: PlanPlatform, wish: PlanWish): FoundPlan {
  const refused: string[] = [];
  const fitting: EnginePlan[] = [];
  for (const file of plansBeside(modelFile)) {
    try {
      const sidecar = readSidecar(file);
      const reason = misfit(sidecar, platform, wish);
      if (reason === null) fitting.push({ file, sidecar });
      else refused.push(`${path.basename(file)}: ${reason}`);
    } catch (error) {
      refused.push(messageOf(error));
    }
  }
  fitting.sort((a, b) => b.sidecar.built.localeCompare(a.sidecar.built));
  return { plan: fitting[0] ?? null, refused };
}

/** Plans are `MODEL.<anything>.plan` in the folder of `MODEL.onnx`. */
function plansBeside(modelFile: string): string[] {
  const [folder, prefix] = [path.dirname(modelFile), `${path.basename(stemOf(modelFile))}.`];
  return readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && name.endsWith('.plan'))
    .toSorted()
    .map((name) => path.join(folder, name));
}

const stemOf = (modelFile: string): string => modelFile.replace(/\.onnx$/, '');
