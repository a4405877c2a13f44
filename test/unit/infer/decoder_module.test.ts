import { copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findManifest } from '../../../models/find.js';
import type { ModelManifest } from '../../../models/manifest.js';
import { OnnxGraph } from '../../../models/onnx_graph.js';
import { createDecoder } from '../../../services/infer/create_decoder.js';
import { Detector } from '../../../services/infer/detector.js';
import { OnnxEngine } from '../../../services/infer/onnx_engine.js';
import { decode, decoderManifest, empty, floats, rowsOf, type DecoderManifestOptions } from '../../helpers/decoding.js';
import { ROOT } from '../../helpers/process.js';
import { tempFolder } from '../../helpers/temp.js';

/** A manifest beside a module with this text. */
function manifestWith(module: string, options: Partial<DecoderManifestOptions> = {}): ModelManifest {
  const folder = tempFolder();
  writeFileSync(path.join(folder, 'd.mjs'), module);
  return decoderManifest({ decoder: { module: './d.mjs' }, labels: { 0: 'cat', 2: 'dog' }, folder, ...options });
}

/** A module whose decode has this body. */
const decoding = (body: string): string =>
  `export const createDecoder = () => ({ check() {}, decode(outputs, frame, thresholds, into) { ${body} } });`;

const outputs = { o: floats([1, 2], [1, 2]) };
const cause = (manifest: ModelManifest): Promise<unknown> => decode(manifest, outputs, [0.5, Infinity, 0.5]);

describe('a decoder of one’s own', () => {
  it('is given manifest and options, and finds boxes with landmarks', async () => {
    const manifest = manifestWith(
      `export async function createDecoder({ manifest, options }) {
        return {
          check(outputs, batch) { if (batch !== 1) throw new Error('one only'); },
          decode({ o }, frame, thresholds, into) {
            into.boxes.push(0, 0, manifest.input.width, options.height, 0.75, 2);
            into.boxes.setLandmarks([1, 2, 3, 4]);
            // Not wanted, not above its threshold, not known.
            into.boxes.push(0, 0, 1, 1, 0.9, 1);
            into.boxes.push(0, 0, 1, 1, 0.5, 0);
            into.boxes.push(0, 0, 1, 1, 0.9, 3);
            into.boxes.push(5, 6, 7, 8, 0.625, 0);
            into.boxes.setLandmarks([5, 6, 7, 8]);
          },
        };
      }`,
      { decoder: { module: './d.mjs', options: { height: 9 } } },
    );
    const found = await decode(manifest, outputs, [0.5, Infinity, 0.5]);
    expect(rowsOf(found)).toEqual([
      [0, 0, 32, 9, 0.75, 2],
      [5, 6, 7, 8, 0.625, 0],
    ]);
    expect([...found.boxes.landmarks.subarray(0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it.each([
    ['a file that is not there', decoderManifest({ decoder: { module: './no.mjs' }, labels: { 0: 'a' } }), 'model m: decoder module /m/no.mjs: there is no such file'],
    ['no createDecoder', 'export const decode = 1, check = 2;', 'it exports no function createDecoder; it exports check, decode'],
    ['nothing', '', 'it exports no function createDecoder; it exports nothing'],
    ['a module that fails', 'throw new Error("no licence")', 'd.mjs: no licence'],
    ['a package that is not there', 'import "no-such-package"', 'no-such-package'],
    ['createDecoder that fails', 'export function createDecoder() { throw new Error("no weights"); }', 'd.mjs: createDecoder: no weights'],
    ['no decoder', 'export const createDecoder = () => ({ decode() {} });', 'createDecoder returned no object with the functions check and decode'],
    ['null for a decoder', 'export const createDecoder = () => null;', 'createDecoder returned no object with the functions check and decode'],
    ['outputs that it does not take', 'export const createDecoder = () => ({ decode() {}, check(outputs) { throw new Error("o is wrong"); } });', 'd.mjs: check: o is wrong; the model has o [1, 2]'],
    ['decode that fails', decoding('outputs.p.data'), "d.mjs: decode: Cannot read properties of undefined (reading 'data')"],
    ['a box without a place', decoding('into.boxes.push(0, 0, 1, 1, 0.9, 0); into.boxes.push(0, undefined, 1, 1, 0.9, 0)'), 'd.mjs: decode: box 1: a coordinate is NaN'],
    ['what is not its task', decoding('into.classes.push({ classIndex: 0, score: 1 })'), "d.mjs: decode: it gave classes, the manifest's task is detect"],
    ['landmarks that do not match', decoding('into.boxes.push(0, 0, 1, 1, 0.9, 0); into.boxes.setLandmarks([1])'), 'd.mjs: decode: landmarks: 1 numbers, expected 0'],
  ])('is refused with %s', async (_, module, message) => {
    const manifest = typeof module === 'string' ? manifestWith(module) : module;
    await expect(cause(manifest)).rejects.toMatchObject({ code: 'MODEL_DECODER' });
    await expect(cause(manifest)).rejects.toThrow(message);
  });

  it('may give tensors and class maps, of the right size', async () => {
    const tensor = decoding("into.tensors.push({ name: 'o', type: 'uint8', dims: [3], bytes: Uint8Array.of(1, 2, 3) })");
    const raw = manifestWith(tensor, { task: 'raw', labels: {} });
    expect((await decode(raw, outputs, [])).tensors).toHaveLength(1);
    const small = manifestWith(tensor, { task: 'raw', labels: {}, decoder: { module: './d.mjs', max_bytes: 2 } });
    await expect(cause(small)).rejects.toThrow("a frame's tensors take 3 bytes, decoder.max_bytes is 2");
    const map = manifestWith(decoding('into.map = { width: 2, height: 2, classes: Uint8Array.of(1, 2, 3) }'), { task: 'segment' });
    await expect(cause(map)).rejects.toThrow('decode: the class map has 3 cells, its size is 2 × 2');
  });

  it('that fails on pictures is found out when the model is loaded', async () => {
    const manifest = manifestWith(decoding('throw new Error("not implemented")'));
    const engine = { description: '', run: () => Promise.resolve(outputs), close: () => Promise.resolve() };
    const detector = await Detector.create(manifest, engine, () => []);
    await expect(detector.warmUp(1)).rejects.toMatchObject({ code: 'MODEL_DECODER', message: expect.stringContaining('decode: not implemented') as string });
  });
});

describe('examples/decoder', () => {
  it('finds the bright cells of a picture, in pixels of the frame', async () => {
    const folder = tempFolder();
    for (const name of ['brightest.yaml', 'brightest.mjs']) copyFileSync(path.join(ROOT, 'examples', 'decoder', name), path.join(folder, name));
    writeFileSync(path.join(folder, 'brightest.onnx'), brightness());
    const manifest = findManifest(path.join(folder, 'brightest.yaml'));
    const { width, height } = manifest.input;
    const input = new Float32Array(2 * 3 * width * height);
    const engine = await OnnxEngine.load({ manifest, file: path.join(folder, 'brightest.onnx'), threads: 1, input, maxBatch: 2 });
    onTestFinished(() => engine.close());
    // A frame of 640 × 480: twice the network's picture. Frame 1 has light in cell (3, 2) of 16 × 16 pixels.
    const geometry = { scaleX: 0.5, scaleY: 0.5, offsetX: 0, offsetY: 0 };
    const detector = await Detector.create(manifest, engine, () => {
      for (let channel = 3; channel < 6; channel++) {
        for (let y = 32; y < 48; y++) input.fill(1, (channel * height + y) * width + 48, (channel * height + y) * width + 64);
      }
      return [geometry, geometry];
    });
    await detector.warmUp(2);
    const frame = { leaseId: 1, region: null, width: 640, height: 480, thresholds: Float64Array.of(0.8) };
    const { rows } = await detector.detect([frame, frame]);
    expect(rows.map((row) => [...row].map((value) => Number(value.toFixed(3))))).toEqual([[], [96, 64, 32, 32, 1, 0]]);
  });

  it('refuses another model', async () => {
    const manifest = findManifest(path.join(ROOT, 'examples', 'decoder', 'brightest.yaml'));
    const decoder = await createDecoder(manifest);
    expect(() => decoder.check({ brightness: empty([2, 3, 15, 20]) }, 2)).toThrow(
      'check: output "brightness" is float32 [2, 3, 15, 20], expected float32 [2, 1, rows, columns]; the model has brightness [2, 3, 15, 20]',
    );
  });
});

/** The model of the example: mean over 16 × 16 pixels of all colours. */
function brightness(): Uint8Array {
  const graph = new OnnxGraph('brightest');
  const images = graph.input('images', ['N', 3, 240, 320]);
  const mean = graph.floats(new Float32Array(3 * 16 * 16).fill(1 / (3 * 16 * 16)), [1, 3, 16, 16]);
  graph.output('brightness', graph.node('Conv', [images, mean], { kernel_shape: [16, 16], strides: [16, 16] }), ['N', 1, 15, 20]);
  return graph.finish('framebus');
}
