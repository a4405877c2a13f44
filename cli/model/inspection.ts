import { statSync } from 'node:fs';
import { codeOf, messageOf } from '../../lib/errors.js';
import { modelFileHere, sha256Of } from '../../models/fetch.js';
import type { ModelManifest } from '../../models/manifest.js';
import { Detector } from '../../services/infer/detector.js';
import { OnnxEngine } from '../../services/infer/onnx_engine.js';
import { onnxSignature, type OnnxSignature } from '../../services/infer/onnx_file.js';
import { bytesText } from '../bytes.js';
import { table } from '../status/table.js';
import { modelEntry, type ModelEntry } from './model_list.js';

/** The model file itself. */
export interface InspectedFile extends OnnxSignature {
  path: string;
  bytes: number;
  sha256: string;
}

/** What `framebus model inspect` finds; also its JSON. */
export interface Inspection {
  /** null: there is a file, but no manifest for it. */
  manifest: ModelEntry | null;
  /** null: not fetched yet. */
  file: InspectedFile | null;
  /** SHA-256 that the manifest expects, where it says one. */
  expected_sha256: string | null;
  /** What the manifest says does not fit the file; empty when all does, null when that cannot be told. */
  problems: string[] | null;
}

/** Looks at a model as the service would load it. @throws ENGINE_MISSING, ENGINE_FAILED for a file that is no model */
export async function inspectModel(manifest: ModelManifest, cacheDirectory: string): Promise<Inspection> {
  const path = modelFileHere(manifest, cacheDirectory);
  const expected = manifest.source.sha256;
  const entry = modelEntry(manifest, cacheDirectory);
  if (path === null) return { manifest: entry, file: null, expected_sha256: expected, problems: null };
  const file = await inspectFile(path);
  const problems: string[] = [];
  if (expected !== null && expected !== file.sha256) {
    problems.push(`the file has SHA-256 ${file.sha256}, the manifest says ${expected}`);
  }
  const misfit = await misfitOf(manifest, path);
  if (misfit !== null) problems.push(misfit);
  return { manifest: entry, file, expected_sha256: expected, problems };
}

/** A file without a manifest. */
export async function inspectBareFile(path: string): Promise<Inspection> {
  return { manifest: null, file: await inspectFile(path), expected_sha256: null, problems: null };
}

async function inspectFile(path: string): Promise<InspectedFile> {
  return { path, bytes: statSync(path).size, sha256: await sha256Of(path), ...(await onnxSignature(path)) };
}

/** Runs the model once on an empty picture, and its decoder's check on what comes out. */
async function misfitOf(manifest: ModelManifest, file: string): Promise<string | null> {
  const { width, height } = manifest.input;
  const pictures = manifest.batch === 'dynamic' ? 1 : manifest.batch;
  const input = new Float32Array(pictures * 3 * width * height);
  try {
    const engine = await OnnxEngine.load({ manifest, file, threads: 1, input, maxBatch: 1 });
    try {
      const detector = await Detector.create(manifest, engine, () => []);
      await detector.warmUp(1);
      return null;
    } finally {
      await engine.close();
    }
  } catch (error) {
    if (codeOf(error) === 'MODEL_SHAPE') return messageOf(error);
    throw error;
  }
}

/** The inspection for people. */
export function inspectionReport({ manifest, file, expected_sha256: expected, problems }: Inspection): string {
  const parts: string[] = [];
  if (manifest !== null) parts.push(manifestPart(manifest, expected));
  if (file === null) parts.push(`The file is not here yet: run "framebus model fetch ${manifest?.name ?? ''}".`);
  else parts.push(filePart(file));
  if (manifest === null) parts.push('There is no manifest beside the file, so framebus does not know what its numbers mean.');
  if (problems !== null) {
    const verdict = problems.length === 0 ? 'The file fits the manifest.' : 'The file does not fit the manifest:';
    parts.push([verdict, ...problems.map((problem) => `  ${problem}`)].join('\n'));
  }
  return parts.join('\n\n');
}

function manifestPart(entry: ModelEntry, expected: string | null): string {
  return table([
    ['model', entry.name],
    ['task', `${entry.task}, ${entry.classes} classes`],
    ['input', `${entry.width}×${entry.height}, batch ${entry.batch}`],
    ['decoder', entry.decoder],
    ['licence', entry.licence],
    ['manifest', entry.manifest],
    ['source', entry.source],
    ['SHA-256', expected ?? 'not said'],
  ]);
}

function filePart({ path, bytes, sha256, inputs, outputs }: InspectedFile): string {
  const rows = [
    ...inputs.map(({ name, type, shape }) => ['input', name, type, `[${shape.join(', ')}]`]),
    ...outputs.map(({ name, type, shape }) => ['output', name, type, `[${shape.join(', ')}]`]),
  ];
  const head = table([
    ['file', path],
    ['size', `${bytesText(bytes)} (${bytes} bytes)`],
    ['SHA-256', sha256],
  ]);
  return `${head}\n\n${table(rows)}`;
}
