import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { OnnxGraph } from '../../models/onnx_graph.js';
import { classColor } from '../../services/sink/overlay.js';
import { hasTestData, TEST_DATA } from '../helpers/data.js';
import { runNode } from '../helpers/process.js';
import { hasFfmpeg, rgbFrames, type RgbPicture } from '../helpers/raw_video.js';
import { tempFolder } from '../helpers/temp.js';

const INPUT = 'color_order: rgb, mean: [0, 0, 0], layout: nchw, dtype: float32';

/** The dominant of three colours, for every pixel; red has no name. */
const AREAS = `name: areas
licence: Apache-2.0
source: {file: areas.onnx}
task: segment
input: {name: images, width: 64, height: 64, resize: letterbox, anchor: center, pad: 0, scale: [1, 1, 1], ${INPUT}}
decoder: {kind: segmentation, output: scores, layout: nchw}
labels: {1: green, 2: blue}
batch: dynamic
`;

const FACES = `name: faces
licence: MIT
source: {file: ${path.join(TEST_DATA, 'models', 'yunet_dynamic.onnx')}}
task: detect
input: {name: input, width: 640, height: 480, resize: stretch, scale: [1, 1, 1], ${INPUT.replace('rgb', 'bgr')}}
decoder: {kind: yunet}
labels: {0: face}
thresholds: {default: 0.6}
nms: {kind: per_class, iou: 0.3}
batch: 1
`;

/** A folder with a configuration and both models; `framebus model test` runs in it. */
function workplace(): string {
  const folder = tempFolder();
  const graph = new OnnxGraph('areas');
  graph.output('scores', graph.input('images', ['N', 3, 64, 64]), ['N', 3, 64, 64]);
  writeFileSync(path.join(folder, 'areas.onnx'), graph.finish('test'));
  writeFileSync(path.join(folder, 'areas.yaml'), AREAS);
  writeFileSync(path.join(folder, 'faces.yaml'), FACES);
  writeFileSync(path.join(folder, 'framebus.yaml'), 'models: {directory: .}\nstreams: {gate: {source: /x}}\n');
  return folder;
}

/** What the model sees, as JSON, and the picture that was written. */
async function drawn(folder: string, name: string, image: string): Promise<{ report: Report; picture: RgbPicture }> {
  const out = path.join(folder, 'out.jpg');
  const args = ['model', 'test', name, image, '--out', out, '--json', '--config', path.join(folder, 'framebus.yaml')];
  const process = runNode(['cli/framebus.mjs', ...args], { env: { FRAMEBUS_CACHE: '' } });
  expect(await process.exitCode(), process.stderr).toBe(0);
  return { report: JSON.parse(process.stdout) as Report, picture: await firstPicture(out) };
}

interface Report {
  masks: { label: string; cells: number; width: number; height: number }[];
  detections: { landmarks: { x: number; y: number }[] }[];
}

async function firstPicture(file: string): Promise<RgbPicture> {
  for await (const picture of rgbFrames(file, 1)) return picture;
  throw new Error(`${file}: no picture`);
}

type Rgb = readonly [number, number, number];

const at = ({ data, width }: RgbPicture, x: number, y: number): Rgb => {
  const [red = 0, green = 0, blue = 0] = data.subarray((y * width + x) * 3);
  return [red, green, blue];
};
const colorOf = (rgb: number): Rgb => [rgb >> 16, (rgb >> 8) & 255, rgb & 255];
const mix = (under: Rgb, over: Rgb): Rgb => [0, 1, 2].map((n) => (under[n] ?? 0) * 0.55 + (over[n] ?? 0) * 0.45) as unknown as Rgb;
const distance = (a: Rgb, b: Rgb): number => a.reduce((sum, value, n) => sum + Math.abs(value - (b[n] ?? 0)), 0);

describe.skipIf(!hasFfmpeg())('framebus model test draws', () => {
  it('masks in the colours of their classes where they are, names in the corner, and nothing elsewhere', async () => {
    const folder = workplace();
    const image = path.join(folder, 'stripes.png');
    const stripes = ['0x208020', '0x904040', '0x202080'].flatMap((color) => ['-f', 'lavfi', '-i', `color=${color}:s=128x288:d=1`]);
    const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', ...stripes, '-filter_complex', 'hstack=inputs=3', '-frames:v', '1', image]);
    expect(status, stderr.toString()).toBe(0);

    const { report, picture } = await drawn(folder, 'areas', image);
    expect(report.masks.map(({ label }) => label)).toEqual(['green', 'blue']);
    const plain = await firstPicture(image);
    // Away from the names, and by more than a cell of 6 pixels from the edges of the stripes.
    for (let y = 4; y < 230; y += 16) {
      for (const x of [4, 60, 118]) {
        const where = `at ${x}, ${y}`;
        expect(distance(at(picture, x, y), mix(at(plain, x, y), colorOf(classColor(1)))), `green ${where}`).toBeLessThan(30);
        expect(distance(at(picture, x + 128 + 6, y), at(plain, x + 128 + 6, y)), `red ${where}`).toBeLessThan(30);
        expect(distance(at(picture, x + 256 + 6, y), mix(at(plain, x + 256 + 6, y), colorOf(classColor(2)))), `blue ${where}`).toBeLessThan(30);
      }
    }
    expect(distance(mix(at(plain, 4, 4), colorOf(classColor(1))), at(plain, 4, 4))).toBeGreaterThan(60);
    // "green" above "blue".
    expect(distance(at(picture, 1, 285), colorOf(classColor(2)))).toBeLessThan(60);
    expect(distance(at(picture, 1, 265), colorOf(classColor(1)))).toBeLessThan(60);
  });

  const photo = 'images/cartucho-map/input/images-optional/2007_000515.jpg';
  it.skipIf(!hasTestData(photo))('landmarks as dots in the colour of the class', async () => {
    const { report, picture } = await drawn(workplace(), 'faces', path.join(TEST_DATA, photo));
    const plain = await firstPicture(path.join(TEST_DATA, photo));
    const [face] = report.detections;
    expect(face?.landmarks).toHaveLength(5);
    const [leftEye = { x: 0, y: 0 }] = face?.landmarks ?? [];
    const [x, y] = [Math.round(leftEye.x), Math.round(leftEye.y)];
    expect(distance(at(picture, x, y), colorOf(classColor(0)))).toBeLessThan(120);
    expect(distance(at(plain, x, y), colorOf(classColor(0)))).toBeGreaterThan(200);
    expect(distance(at(picture, x, y - 7), colorOf(classColor(0))), 'above the eye').toBeGreaterThan(200);
  });
});
