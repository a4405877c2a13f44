import { FramebusError } from '../../lib/errors.js';
import type { ModelManifest } from '../../models/manifest.js';
import { pictureShape } from '../../services/infer/model_inputs.js';

export type BuildPrecision = 'fp32' | 'fp16';

export interface BuildArguments {
  manifest: ModelManifest;
  modelFile: string;
  /** Where the plan is written. */
  planFile: string;
  /** Kept from build to build: kernels that were tried need not be tried again. */
  timingCache: string;
  /** Largest batch, and the one that kernels are chosen for; a model of fixed batch size has its own. */
  batch: number;
  /** null: TensorRT's default, which is fp32 up to TensorRT 10, and the model's own from 11 on. */
  precision: BuildPrecision | null;
  /** Number of the GPU. */
  device: number;
  /** The plan shall run on newer versions of TensorRT, too. */
  versionCompatible: boolean;
}

/** What trtexec has of the options that came and went; from its own help. */
export class TrtexecFlags {
  readonly #known: ReadonlySet<string>;

  constructor(help: string) {
    this.#known = new Set(help.match(/--[A-Za-z][A-Za-z0-9]*/g) ?? []);
  }

  has(flag: string): boolean {
    return this.#known.has(flag);
  }
}

/** What the plan calculates with, as its sidecar says it. @throws ENGINE_BUILD */
export function plannedPrecision(precision: BuildPrecision | null, flags: TrtexecFlags): BuildPrecision | 'model' {
  if (flags.has('--fp16')) return precision ?? 'fp32';
  if (precision === null) return 'model';
  throw new FramebusError('ENGINE_BUILD', `--precision ${precision}: this trtexec (TensorRT 11 or newer) takes the precision of the model`, {
    remedy: 'Leave --precision out; for fp16 convert the ONNX model first (NVIDIA ModelOpt: AutoCast), and give it a manifest.',
  });
}

/** The command line of trtexec. @throws ENGINE_BUILD */
export function trtexecArguments(build: BuildArguments, flags: TrtexecFlags): string[] {
  const { modelFile, planFile, timingCache, device, versionCompatible } = build;
  if (versionCompatible && !flags.has('--versionCompatible')) {
    throw new FramebusError('ENGINE_BUILD', '--version-compatible: this trtexec (older than TensorRT 8.6) cannot build such plans');
  }
  const optional = (flag: string, value?: string): string[] =>
    flags.has(flag) ? [value === undefined ? flag : `${flag}=${value}`] : [];
  return [
    `--onnx=${modelFile}`,
    `--saveEngine=${planFile}`,
    ...shapeArguments(build),
    ...(plannedPrecision(build.precision, flags) === 'fp16' ? ['--fp16'] : []),
    ...(versionCompatible ? ['--versionCompatible'] : []),
    `--device=${device}`,
    // The plan then says what it really calculates with.
    ...optional('--profilingVerbosity', 'detailed'),
    ...optional('--timingCacheFile', timingCache),
    // It was called --buildOnly before 8.6.
    ...(flags.has('--skipInference') ? ['--skipInference'] : optional('--buildOnly')),
  ];
}

/** One profile for all batch sizes from 1 on; a model of fixed size needs none. */
function shapeArguments({ manifest, batch }: BuildArguments): string[] {
  if (manifest.batch !== 'dynamic') return [];
  const shapes = (size: number): string =>
    [
      [manifest.input.name, ...pictureShape(manifest.input)] as const,
      ...manifest.extraInputs.map(({ name, row }) => [name, row.length] as const),
    ]
      .map(([name, ...dims]) => `${name}:${[size, ...dims].join('x')}`)
      .join(',');
  return [`--minShapes=${shapes(1)}`, `--optShapes=${shapes(batch)}`, `--maxShapes=${shapes(batch)}`];
}
