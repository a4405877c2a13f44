import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { FramebusError, messageOf } from '../../lib/errors.js';
import { sha256Of } from '../../models/fetch.js';
import type { ModelManifest } from '../../models/manifest.js';
import { planFile, sidecarFile, type EnginePlan, type EngineSidecar } from '../../services/infer/engine_sidecar.js';
import { plannedPrecision, trtexecArguments, TrtexecFlags, type BuildPrecision } from './build_arguments.js';
import { BuildOutput, type BuildProgress } from './build_output.js';

/** Where TensorRT's packages put it when it is not on the PATH. */
const USUAL_PLACES = ['/usr/src/tensorrt/bin', '/usr/local/tensorrt/bin', '/opt/tensorrt/bin'];
/** A build that is ended has so long to go by itself. */
const END_WITHIN_MS = 3_000;

export interface BuildPlanOptions {
  manifest: ModelManifest;
  modelFile: string;
  batch: number;
  precision: BuildPrecision | null;
  device: number;
  versionCompatible: boolean;
  /** Path of trtexec; null: as `findTrtexec` finds it. */
  trtexec: string | null;
  /** Path of the plan; null: beside the model, where the service finds it. */
  out: string | null;
  onProgress: (progress: BuildProgress) => void;
  signal: AbortSignal;
}

/**
 * Builds a TensorRT plan of a model for the GPU of this machine, and writes what it is for beside
 * it. Takes minutes; leaves nothing behind when it is ended.
 *
 * @throws ENGINE_MISSING, ENGINE_BUILD, FILE_UNWRITABLE, CANCELLED
 */
export async function buildPlan(options: BuildPlanOptions): Promise<EnginePlan> {
  const { manifest, modelFile, out } = options;
  const trtexec = options.trtexec ?? findTrtexec();
  const folder = path.dirname(path.resolve(out ?? modelFile));
  return inPart(folder, async (part) => {
    const flags = new TrtexecFlags(await helpOf(trtexec, options.signal));
    const temporary = path.join(part, 'plan');
    const timingCache = path.join(folder, 'tensorrt-timing.cache');
    const batch = manifest.batch === 'dynamic' ? options.batch : manifest.batch;
    const given = trtexecArguments({ ...options, batch, planFile: temporary, timingCache }, flags);
    const progress = await runTrtexec(trtexec, given, options);
    const precision = plannedPrecision(options.precision, flags);
    const sidecar = await sidecarOf(options, temporary, { ...progress, precision, batch });
    const names = { version: sidecar.tensorrt, architecture: sidecar.compute_capability, precision, maxBatch: batch };
    const target = out === null ? planFile(modelFile, names) : path.resolve(out);
    writeFileSync(sidecarFile(temporary), `${JSON.stringify(sidecar, null, 2)}\n`);
    // A plan is looked at with its sidecar only, so that one comes first.
    await rename(sidecarFile(temporary), sidecarFile(target));
    await rename(temporary, target);
    return { file: target, sidecar };
  });
}

/** Path of trtexec. @throws ENGINE_MISSING */
export function findTrtexec(searched = process.env['PATH'] ?? ''): string {
  const folders = [...searched.split(path.delimiter).filter((folder) => folder !== ''), ...USUAL_PLACES];
  const found = folders.map((folder) => path.join(folder, 'trtexec')).find(isProgram);
  if (found !== undefined) return found;
  throw new FramebusError('ENGINE_MISSING', `trtexec: it is not on the PATH, nor in ${USUAL_PLACES.join(', ')}`, {
    remedy: 'Install TensorRT, which brings it (Debian packages of NVIDIA: libnvinfer-bin), or give its path with --trtexec.',
  });
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** A folder beside the target, which goes with whatever is in it, also when the process ends at once. */
async function inPart<T>(folder: string, work: (part: string) => Promise<T>): Promise<T> {
  let part: string;
  try {
    part = await mkdtemp(path.join(folder, '.part-'));
  } catch (error) {
    throw new FramebusError('FILE_UNWRITABLE', `${folder}: ${messageOf(error)}`, { cause: error });
  }
  const onExit = (): void => rmSync(part, { recursive: true, force: true });
  process.once('exit', onExit);
  try {
    return await work(part);
  } finally {
    process.off('exit', onExit);
    await rm(part, { recursive: true, force: true });
  }
}

async function helpOf(trtexec: string, signal: AbortSignal): Promise<string> {
  const lines: string[] = [];
  await runLines(trtexec, ['--help'], { signal, onLine: (line) => lines.push(line) });
  return lines.join('\n');
}

/** @throws ENGINE_BUILD with what trtexec complains of */
async function runTrtexec(trtexec: string, given: string[], { manifest, signal, onProgress }: BuildPlanOptions): Promise<BuildProgress> {
  const output = new BuildOutput();
  const onLine = (line: string): void => {
    output.add(line);
    onProgress(output.progress);
  };
  const { code, killedBy } = await runLines(trtexec, given, { signal, onLine });
  if (code === 0) return output.progress;
  const how = killedBy === null ? `exit code ${String(code)}` : killedBy;
  throw new FramebusError('ENGINE_BUILD', `model ${manifest.name}: trtexec failed (${how}): ${output.complaint}`);
}

interface RunOptions {
  signal: AbortSignal;
  /** For each line of both streams. */
  onLine: (line: string) => void;
}

/** @throws ENGINE_MISSING when it cannot be started, CANCELLED */
async function runLines(command: string, given: string[], { signal, onLine }: RunOptions): Promise<{ code: number | null; killedBy: string | null }> {
  signal.throwIfAborted();
  const child = spawn(command, given, { stdio: ['ignore', 'pipe', 'pipe'] });
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  const onAbort = (): void => end(child);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', onLine);
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    if (signal.aborted) throw new FramebusError('CANCELLED', 'building the plan was ended');
    return { code, killedBy };
  } catch (error) {
    if (error instanceof FramebusError) throw error;
    throw new FramebusError('ENGINE_MISSING', `${command}: ${messageOf(error)}`, { cause: error, remedy: 'Give the path of trtexec with --trtexec.' });
  } finally {
    process.off('exit', onExit);
    signal.removeEventListener('abort', onAbort);
  }
}

function end(child: ChildProcess): void {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS);
  child.once('close', () => clearTimeout(timer));
}

type BuiltFacts = BuildProgress & { precision: EngineSidecar['precision']; batch: number };

/** @throws ENGINE_BUILD */
async function sidecarOf({ manifest, modelFile, versionCompatible }: BuildPlanOptions, plan: string, facts: BuiltFacts): Promise<EngineSidecar> {
  const { version, gpu, computeCapability, precision, batch } = facts;
  const failed = (why: string): FramebusError => new FramebusError('ENGINE_BUILD', `model ${manifest.name}: trtexec ${why}`);
  if (!existsSync(plan) || statSync(plan).size === 0) throw failed('says that it is done, but there is no plan');
  if (version === null || gpu === null || computeCapability === null) {
    throw failed('did not say its version and its GPU, which the plan is bound to');
  }
  return {
    format: 1,
    tensorrt: version,
    compute_capability: computeCapability,
    gpu,
    onnx_sha256: manifest.source.sha256 ?? (await sha256Of(modelFile)),
    plan_bytes: statSync(plan).size,
    plan_sha256: await sha256Of(plan),
    precision,
    min_batch: manifest.batch === 'dynamic' ? 1 : batch,
    opt_batch: batch,
    max_batch: batch,
    version_compatible: versionCompatible,
    built: new Date().toISOString(),
  };
}
