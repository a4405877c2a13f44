import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { FramebusError } from '../../../lib/errors.js';
import { findManifest, modelNames, MODELS_DIRECTORY } from '../../../models/find.js';
import { parseManifest } from '../../../models/manifest.js';
import { tempFile } from '../../helpers/temp.js';

const SHA = 'ab'.repeat(32);

const GOOD = `name: faces
licence: MIT
task: detect
source:
  file: net.onnx
input:
  name: images
  width: 320
  height: 240
  layout: nchw
  resize: stretch
  color_order: rgb
  mean: [127, 127, 127]
  scale: [0.0078125, 0.0078125, 0.0078125]
  dtype: float32
decoder:
  kind: ssd
  boxes: boxes
  scores: scores
  box_order: xyxy
labels:
  1: face
thresholds:
  default: 0.5
nms:
  kind: per_class
batch: 1
`;

function refusal(text: string, file = '/m/faces.yaml'): FramebusError {
  try {
    parseManifest(text, file);
  } catch (error) {
    if (error instanceof FramebusError) return error;
    throw error;
  }
  throw new Error('the manifest was taken');
}

describe('parseManifest', () => {
  it('fills in defaults and resolves the file from the folder of the manifest', () => {
    expect(parseManifest(GOOD, '/m/faces.yaml')).toEqual({
      name: 'faces',
      licence: 'MIT',
      task: 'detect',
      file: '/m/faces.yaml',
      source: { kind: 'file', file: '/m/net.onnx', sha256: null },
      input: {
        name: 'images',
        width: 320,
        height: 240,
        layout: 'nchw',
        resize: 'stretch',
        anchor: 'center',
        pad: 114,
        colorOrder: 'rgb',
        mean: [127, 127, 127],
        scale: [0.0078125, 0.0078125, 0.0078125],
        dtype: 'float32',
      },
      extraInputs: [],
      decoder: { kind: 'ssd', boxes: 'boxes', scores: 'scores', boxOrder: 'xyxy' },
      labels: new Map([[1, 'face']]),
      classes: 2,
      thresholds: { default: 0.5, classes: {} },
      nms: { kind: 'per_class', iou: 0.5 },
      topK: 100,
      batch: 1,
    });
  });

  it('names every problem with file, line and key at once', () => {
    const text = GOOD.replace('licence: MIT', 'license: MIT')
      .replace('width: 320', 'width: wide')
      .replace('kind: per_class', 'kind: per_klass')
      .replace('box_order: xyxy', 'box_ordr: xyxy');
    const error = refusal(text);
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('/m/faces.yaml:2: license: unknown key; did you mean "licence"?');
    expect(error.message).toContain('licence: is missing');
    expect(error.message).toContain('/m/faces.yaml:8: input.width: must be a number, is "wide"');
    expect(error.message).toContain('/m/faces.yaml:20: decoder.box_ordr: unknown key; did you mean "box_order"?');
    expect(error.message).toMatch(/\/m\/faces\.yaml:26: nms\.kind: must be one of per_class, agnostic, none, is "per_klass"/);
  });

  it('wants a decoder that it knows', () => {
    expect(refusal(GOOD.replace('kind: ssd', 'kind: yolo')).message).toMatch(/faces\.yaml:\d+: decoder.*yolov5, yolov8, .*raw or module; is "yolo"/);
  });

  it.each([
    ['no source', GOOD.replace('file: net.onnx', `sha256: ${SHA}`), 'needs exactly one of npm, url and file'],
    ['two sources', GOOD.replace('file: net.onnx', `file: net.onnx\n  url: https://x/y`), 'needs exactly one of npm, url and file'],
    ['an address without checksum', GOOD.replace('file: net.onnx', 'url: https://x/y'), 'needs the sha256'],
    ['a package without integrity', GOOD.replace('file: net.onnx', `npm: a@1.0.0\n  sha256: ${SHA}`), 'needs integrity and member'],
    ['a range of versions', GOOD.replace('file: net.onnx', `npm: a@^1\n  sha256: ${SHA}`), 'exact version'],
    ['another name than the file', GOOD.replace('name: faces', 'name: face'), 'must be the name of the file, "faces"'],
    ['a threshold for an unknown label', GOOD.replace('default: 0.5', 'default: 0.5\n  classes: {fase: 0.4}'), 'thresholds.classes.fase: is not one of the labels'],
    ['a label that is no channel', GOOD.replace('1: face', 'one: face'), 'labels.one: must be a whole number'],
    ['no labels', GOOD.replace('labels:\n  1: face', 'labels: {}'), 'labels: must name at least one class'],
    ['fewer channels than labels', GOOD.replace('boxes: boxes', 'classes: 1\n  boxes: boxes'), 'must be at least 2'],
    ['text that is no YAML', 'name: [', 'not valid YAML'],
    ['nothing', '', 'name: is missing'],
  ])('refuses %s', (_, text, message) => {
    expect(refusal(text).message).toContain(message);
  });
});

describe('what goes with which task', () => {
  const classifier = GOOD.replace('task: detect', 'task: classify')
    .replace(/decoder:[^]*?labels:/, 'decoder: {kind: classification, output: o, activation: none}\nlabels:')
    .replace('nms:\n  kind: per_class\n', '');

  it('needs no suppression for classes, and neither labels nor thresholds for tensors', () => {
    expect(parseManifest(classifier, '/m/faces.yaml')).toMatchObject({ task: 'classify', nms: { kind: 'none' }, classes: 2 });
    const raw = classifier
      .replace('task: classify', 'task: raw')
      .replace(/decoder: .*/, 'decoder: {kind: raw, outputs: [a, b]}')
      .replace('labels:\n  1: face\n', '')
      .replace('thresholds:\n  default: 0.5\n', '');
    expect(parseManifest(raw, '/m/faces.yaml')).toMatchObject({
      decoder: { kind: 'raw', outputs: ['a', 'b'], maxBytes: 262144 },
      classes: 0,
      thresholds: { default: 0, classes: {} },
    });
  });

  it.each([
    ['a decoder of another task', GOOD.replace('task: detect', 'task: segment').replace('nms:\n  kind: per_class\n', ''), 'decoder.kind: ssd is for task: detect, the task is segment'],
    ['no suppression where boxes overlap', GOOD.replace('nms:\n  kind: per_class\n', ''), 'nms: is missing: say kind: per_class, agnostic or none'],
    ['suppression of classes', `${classifier}nms: {kind: none}\n`, 'nms: is for task: detect, the task is classify'],
    ['no thresholds', GOOD.replace('thresholds:\n  default: 0.5\n', ''), 'thresholds: is missing'],
    ['an unknown size', `${GOOD}extra_inputs: [{name: s, dtype: int64, value: size}]\n`, 'extra_inputs[0].value: must be width_height, height_width or a list of numbers, is "size"'],
    ['an unknown key of a further input', `${GOOD}extra_inputs: [{name: s, dtyp: int64, value: [1]}]\n`, 'extra_inputs[0].dtyp: unknown key; did you mean "dtype"?'],
    ['a decoder’s misspelt key', GOOD.replace('kind: ssd', 'kind: yolov5').replace('boxes: boxes', 'outputt: o'), 'decoder.outputt: unknown key; did you mean "output"?'],
  ])('refuses %s', (_, text, message) => {
    expect(refusal(text).message).toContain(message);
  });

  it('takes further inputs, sparse labels with a class more than they name, and other types', () => {
    const text = GOOD.replace(/decoder:[^]*?labels:\n/, 'decoder: {kind: rfdetr, classes: 91}\nlabels:\n  44: bottle\n')
      .replace('dtype: float32', 'dtype: uint8')
      .concat('extra_inputs:\n- {name: hw, dtype: float32, value: height_width}\n- {name: k, dtype: int32, value: [7]}\n');
    const manifest = parseManifest(text, '/m/faces.yaml');
    expect(manifest.extraInputs).toEqual([
      { name: 'hw', dtype: 'float32', row: [240, 320] },
      { name: 'k', dtype: 'int32', row: [7] },
    ]);
    expect([...manifest.labels.keys()]).toEqual([1, 44]);
    expect([manifest.classes, manifest.input.dtype]).toEqual([91, 'uint8']);
    expect(manifest.decoder).toEqual({ kind: 'rfdetr', logits: 'labels', boxes: 'dets' });
  });

  it('takes a module for a decoder, from the folder of the manifest', () => {
    const section = GOOD.replace(/decoder:[^]*?labels:/, 'decoder:\n  module: ./mine.mjs\n  options: {a: 1}\nlabels:');
    expect(parseManifest(section, '/m/faces.yaml').decoder).toEqual({
      kind: 'module',
      module: '/m/mine.mjs',
      options: { a: 1 },
      maxBytes: 262144,
    });
    const short = GOOD.replace(/decoder:[^]*?labels:/, 'decoder: ./mine.mjs\nlabels:');
    expect(parseManifest(short, '/m/faces.yaml').decoder).toMatchObject({ kind: 'module', module: '/m/mine.mjs', options: {} });
  });
});

describe('findManifest', () => {
  it('reads all manifests that framebus brings', () => {
    expect(modelNames()).toContain('ssdlite-mobilenet-v2');
    for (const name of modelNames()) expect(findManifest(name).name).toBe(name);
  });

  it('gives SSDLite the sparse ids of COCO, at channel id − 1', () => {
    const { labels, classes } = findManifest('ssdlite-mobilenet-v2');
    expect(classes).toBe(90);
    expect(labels.size).toBe(80);
    // COCO: 1 person, 13 stop sign, 44 bottle, 62 chair, 72 tv, 90 toothbrush; there is no 12.
    const at = [0, 11, 12, 43, 61, 71, 89].map((channel) => labels.get(channel));
    expect(at).toEqual(['person', undefined, 'stop sign', 'bottle', 'chair', 'tv', 'toothbrush']);
  });

  it('takes the path of a manifest, and of a model with a manifest beside it', () => {
    const file = tempFile('faces.yaml', GOOD);
    expect(findManifest(file).file).toBe(file);
    expect(() => findManifest(file.replace('.yaml', '.onnx'))).toThrow('there is no such file');
    const onnx = tempFile('faces.onnx', 'x');
    expect(() => findManifest(onnx)).toThrow(/no manifest .*faces\.yaml beside it/);
    const beside = path.join(path.dirname(file), 'faces.onnx');
    expect(() => findManifest(beside)).toThrow(FramebusError);
  });

  it('names the models that it knows when it does not know one', () => {
    expect(() => findManifest('yolo9000')).toThrow(
      `model "yolo9000": there is no such manifest in ${MODELS_DIRECTORY}; known: ${modelNames().join(', ')}`,
    );
    expect(() => findManifest('../models/yolox-nano-416')).toThrow('there is no such manifest');
  });
});
