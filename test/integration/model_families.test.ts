import { InferenceSession, Tensor } from 'onnxruntime-node';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findManifest } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';
import { preprocessPlanes, type PreprocessGeometry } from '../../native/index.js';
import { classThresholds } from '../../services/infer/class_thresholds.js';
import { Detector, preprocessSpec } from '../../services/infer/detector.js';
import type { FrameFindings } from '../../services/infer/frame_findings.js';
import { OnnxEngine } from '../../services/infer/onnx_engine.js';
import { toDetections } from '../../services/infer/result_findings.js';
import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { hasTestData, SAMPLE_CLIP, TEST_DATA } from '../helpers/data.js';
import { decoderManifest } from '../helpers/decoding.js';
import { readPhoto, type Photo } from '../helpers/photo.js';
import { hasFfmpeg } from '../helpers/raw_video.js';
import { intersectionOverUnion } from '../helpers/recall.js';
import { plainPreprocess } from '../helpers/reference_run.js';

/** Every model of the shared data, through the service's own path and in the plainest way that there is. */

const PHOTOS = 'images/cartucho-map/input/images-optional';
const photo = (name: string): string => path.join(TEST_DATA, PHOTOS, `${name}.jpg`);

/** A box in network pixels. */
interface Found {
  box: [x1: number, y1: number, x2: number, y2: number];
  score: number;
  label: string;
  points?: [x: number, y: number][];
}

type Outputs = InferenceSession.OnnxValueMapType;

const floatsOf = (outputs: Outputs, name: string): Float32Array => outputs[name]?.data as Float32Array;

/** The service's path: planes → tensor → engine → decoder → suppression → frame. */
async function serviceRun(manifest: ModelManifest, file: string, { format, planes }: Photo): Promise<{ detections: Detection[]; findings: FrameFindings }> {
  const { width, height } = manifest.input;
  const input = new Float32Array(3 * width * height);
  const engine = await OnnxEngine.load({ manifest, file, threads: 2, input, maxBatch: 1 });
  onTestFinished(() => engine.close());
  const detector = await Detector.create(manifest, engine, (_, spec) => [preprocessPlanes(format, planes, spec, input)]);
  await detector.warmUp(1);
  const thresholds = classThresholds(manifest, 'photo', { labels: [], minConfidence: null, thresholds: {} });
  const { rows, findings } = await detector.detect([{ leaseId: 0, region: null, width: format.width, height: format.height, thresholds }]);
  const [first] = findings;
  if (first === undefined) throw new Error('there is no frame');
  return { detections: toDetections(rows[0] ?? new Float32Array(0), manifest.labels, first.landmarks), findings: first };
}

/** The plain path, up to the outputs. */
async function plainRun(manifest: ModelManifest, file: string, { rgb }: Photo): Promise<{ outputs: Outputs; geometry: PreprocessGeometry }> {
  const { width, height, name, layout } = manifest.input;
  const tensor = new Float32Array(3 * width * height);
  const geometry = plainPreprocess(rgb, preprocessSpec(manifest.input), tensor);
  const session = await InferenceSession.create(file, { logSeverityLevel: 3 });
  onTestFinished(() => session.release());
  const dims = layout === 'nchw' ? [1, 3, height, width] : [1, height, width, 3];
  return { outputs: await session.run({ [name]: new Tensor('float32', tensor, dims) }), geometry };
}

/** The plainest suppression: the best one, then without all that overlap it. */
function suppress(found: readonly Found[], iou: number): Found[] {
  const [best, ...rest] = found.toSorted((a, b) => b.score - a.score);
  if (best === undefined) return [];
  const asBox = ({ box: [x, y, x2, y2] }: Found) => ({ x, y, width: x2 - x, height: y2 - y });
  return [best, ...suppress(rest.filter((other) => other.label !== best.label || intersectionOverUnion(asBox(best), asBox(other)) <= iou), iou)];
}

/** Both see the same, but for what pictures that are resampled differently make of scores near the threshold. */
function expectSame(detections: readonly Detection[], found: readonly Found[], geometry: PreprocessGeometry, threshold: number): void {
  const toFrame = ([x, y]: readonly number[]): [number, number] => [
    ((x ?? 0) - geometry.offsetX) / geometry.scaleX,
    ((y ?? 0) - geometry.offsetY) / geometry.scaleY,
  ];
  const plain = found.map(({ box: [x1, y1, x2, y2], score, label, points = [] }) => {
    const [[x, y], [right, below]] = [toFrame([x1, y1]), toFrame([x2, y2])];
    return { x, y, width: right - x, height: below - y, confidence: score, label, points: points.map(toFrame) };
  });
  const ours = detections.map(({ box, label, confidence, landmarks }) => {
    const { x = 0, y = 0, width = 0, height = 0 } = box ?? {};
    return { x, y, width, height, label, confidence, points: landmarks.map((point): [number, number] => [point.x, point.y]) };
  });
  expect(plain.length).toBeGreaterThan(0);
  for (const [some, others] of [[plain, ours], [ours, plain]] as const) {
    for (const one of some.filter(({ confidence }) => confidence > threshold + 0.1)) {
      const twin = others.find((other) => other.label === one.label && intersectionOverUnion(one, other) > 0.8);
      expect(twin, `${one.label} ${one.confidence.toFixed(2)} at ${one.x.toFixed(0)}, ${one.y.toFixed(0)}`).toBeDefined();
      expect(Math.abs((twin?.confidence ?? 0) - one.confidence)).toBeLessThan(0.1);
      expect(twin?.points.length).toBe(one.points.length);
      for (const [index, [x, y]] of one.points.entries()) {
        const [otherX, otherY] = twin?.points[index] ?? [NaN, NaN];
        expect(Math.hypot(otherX - x, otherY - y)).toBeLessThan(Math.max(2, one.width / 10));
      }
    }
  }
}

const facesInput = (name: string, width: number, height: number, order: 'rgb' | 'bgr', mean: number, scale: number) => ({
  ...{ name, width, height, layout: 'nchw', resize: 'stretch', color_order: order, dtype: 'float32' },
  ...{ mean: [mean, mean, mean], scale: [scale, scale, scale] },
});

function yoloxFound(rows: Float32Array, { input, labels, thresholds }: ModelManifest): Found[] {
  const found: Found[] = [];
  let row = 0;
  for (const stride of [8, 16, 32]) {
    for (let y = 0; y < input.height / stride; y++) {
      for (let x = 0; x < input.width / stride; x++, row++) {
        const columns = rows.length / ((input.width / 8) ** 2 + (input.width / 16) ** 2 + (input.width / 32) ** 2);
        const [dx = 0, dy = 0, w = 0, h = 0, objectness = 0, ...classes] = rows.subarray(row * columns, (row + 1) * columns);
        const best = Math.max(...classes);
        if (objectness * best <= thresholds.default) continue;
        const [cx, cy, width, height] = [(dx + x) * stride, (dy + y) * stride, Math.exp(w) * stride, Math.exp(h) * stride];
        const label = labels.get(classes.indexOf(best)) ?? '';
        found.push({ box: [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], score: objectness * best, label });
      }
    }
  }
  return found;
}

const dataFile = (name: string): string => path.join(TEST_DATA, 'models', `${name}.onnx`);

describe.skipIf(!hasTestData('models') || !hasTestData(PHOTOS) || !hasFfmpeg())('models of the shared data', () => {
  it.each([
    ['yolox-nano-416', 'yolox_nano_416', photo('2007_000515')],
    ['lightweight-person-detector', 'lightweight_person_detector', SAMPLE_CLIP],
  ])('%s: as plain loops see it', async (name, file, source) => {
    const manifest = findManifest(name);
    const picture = await readPhoto(source);
    const { outputs, geometry } = await plainRun(manifest, dataFile(file), picture);
    const found = suppress(yoloxFound(floatsOf(outputs, 'output'), manifest), manifest.nms.iou);
    const { detections } = await serviceRun(manifest, dataFile(file), picture);
    expectSame(detections, found, geometry, manifest.thresholds.default);
  });

  it('ssdlite-mobilenet-v2: as plain loops see it', async () => {
    const manifest = findManifest('ssdlite-mobilenet-v2');
    const picture = await readPhoto(photo('2007_000063'));
    const { outputs, geometry } = await plainRun(manifest, dataFile('ssdlite_mobilenet_v2_coco_300'), picture);
    const [boxes, scores] = [floatsOf(outputs, 'boxes'), floatsOf(outputs, 'scores')];
    const found: Found[] = [];
    for (let anchor = 0; anchor < 1917; anchor++) {
      const [y1 = 0, x1 = 0, y2 = 0, x2 = 0] = [...boxes.subarray(anchor * 4, anchor * 4 + 4)].map((value) => value * 300);
      for (const [channel, label] of manifest.labels) {
        const score = scores[anchor * 90 + channel] ?? 0;
        if (score > manifest.thresholds.default) found.push({ box: [x1, y1, x2, y2], score, label });
      }
    }
    const { detections } = await serviceRun(manifest, dataFile('ssdlite_mobilenet_v2_coco_300'), picture);
    expectSame(detections, suppress(found, manifest.nms.iou), geometry, manifest.thresholds.default);
  });

  it.each(['2007_000515', '2007_000799'])('ultraface sees the face of %s, as plain loops do', async (name) => {
    const input = facesInput('input', 320, 240, 'rgb', 127, 1 / 128);
    const more = { input, batch: 1, nms: { kind: 'per_class', iou: 0.3 }, thresholds: { default: 0.6 } };
    const manifest = decoderManifest({ decoder: { kind: 'ultraface' }, labels: { 1: 'face' }, more });
    const picture = await readPhoto(photo(name));
    const { outputs, geometry } = await plainRun(manifest, dataFile('ultraface_rfb_320'), picture);
    const [boxes, scores] = [floatsOf(outputs, 'boxes'), floatsOf(outputs, 'scores')];
    const found: Found[] = [];
    for (let anchor = 0; anchor < 4420; anchor++) {
      const score = scores[anchor * 2 + 1] ?? 0;
      const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = boxes.subarray(anchor * 4, anchor * 4 + 4);
      if (score > 0.6) found.push({ box: [x1 * 320, y1 * 240, x2 * 320, y2 * 240], score, label: 'face' });
    }
    const { detections } = await serviceRun(manifest, dataFile('ultraface_rfb_320'), picture);
    expectSame(detections, suppress(found, 0.3), geometry, 0.6);
  });

  it.each(['2007_000515', '2007_000799'])('yunet sees the face of %s with its landmarks, as plain loops do', async (name) => {
    const input = facesInput('input', 640, 480, 'bgr', 0, 1);
    const more = { input, batch: 1, nms: { kind: 'per_class', iou: 0.3 }, thresholds: { default: 0.6 } };
    const manifest = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face' }, more });
    const picture = await readPhoto(photo(name));
    const { outputs, geometry } = await plainRun(manifest, dataFile('yunet_dynamic'), picture);
    const found: Found[] = [];
    for (const stride of [8, 16, 32]) {
      const columns = 640 / stride;
      const at = (output: string, cell: number, width: number): number[] => [
        ...floatsOf(outputs, `${output}_${stride}`).subarray(cell * width, (cell + 1) * width),
      ];
      for (let cell = 0; cell < columns * (480 / stride); cell++) {
        const [column, row] = [cell % columns, Math.floor(cell / columns)];
        const score = Math.sqrt((at('cls', cell, 1)[0] ?? 0) * (at('obj', cell, 1)[0] ?? 0));
        if (!(score > 0.6)) continue;
        const [dx = 0, dy = 0, w = 0, h = 0] = at('bbox', cell, 4);
        const [cx, cy, width, height] = [(column + dx) * stride, (row + dy) * stride, Math.exp(w) * stride, Math.exp(h) * stride];
        const kps = at('kps', cell, 10);
        const points = [0, 1, 2, 3, 4].map((point): [number, number] => [
          ((kps[point * 2] ?? 0) + column) * stride,
          ((kps[point * 2 + 1] ?? 0) + row) * stride,
        ]);
        found.push({ box: [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], score, label: 'face', points });
      }
    }
    const { detections } = await serviceRun(manifest, dataFile('yunet_dynamic'), picture);
    expectSame(detections, suppress(found, 0.3), geometry, 0.6);
    // Right eye left of the left one, both above the mouth, all of them in the face.
    for (const { landmarks, box } of detections) {
      const [rightEye, leftEye, nose, rightMouth] = landmarks;
      expect(landmarks).toHaveLength(5);
      expect(rightEye?.x).toBeLessThan(leftEye?.x ?? 0);
      expect(rightEye?.y).toBeLessThan(rightMouth?.y ?? 0);
      expect(nose?.x).toBeGreaterThan(box?.x ?? 0);
      expect(nose?.x).toBeLessThan((box?.x ?? 0) + (box?.width ?? 0));
    }
  });

  it('ppocr_text_orientation_cls: the probabilities of plain loops', async () => {
    const input = facesInput('x', 192, 48, 'bgr', 127.5, 1 / 127.5);
    const decoder = { kind: 'classification', output: 'softmax_0.tmp_0', activation: 'none' };
    const more = { input, thresholds: { default: 0 } };
    const manifest = decoderManifest({ task: 'classify', decoder, labels: { 0: 'upright', 1: 'turned' }, more });
    const picture = await readPhoto(photo('2007_000063'));
    const { outputs } = await plainRun(manifest, dataFile('ppocr_text_orientation_cls'), picture);
    const [upright = 0, turned = 0] = floatsOf(outputs, 'softmax_0.tmp_0');
    const { findings } = await serviceRun(manifest, dataFile('ppocr_text_orientation_cls'), picture);
    expect(upright + turned).toBeCloseTo(1, 5);
    expect(findings.classes.map(({ classIndex }) => classIndex)).toEqual(upright > turned ? [0, 1] : [1, 0]);
    for (const { classIndex, score } of findings.classes) expect(Math.abs(score - (classIndex === 0 ? upright : turned))).toBeLessThan(0.05);
  });

  it('deeplab_v3_257: the class of nearly every pixel of the frame, letterboxed', async () => {
    const voc = 'aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa train tv'.split(' ');
    const labels = Object.fromEntries(voc.map((label, index) => [index + 1, label]));
    const input = { ...facesInput('sub_7', 257, 257, 'rgb', 127.5, 1 / 127.5), layout: 'nhwc', resize: 'letterbox', anchor: 'center', pad: 127 };
    const decoder = { kind: 'segmentation', output: 'ResizeBilinear_3', layout: 'nhwc' };
    const manifest = decoderManifest({ task: 'segment', decoder, labels, more: { input, batch: 1 } });
    const picture = await readPhoto(photo('2007_000063'));
    const { outputs, geometry } = await plainRun(manifest, dataFile('deeplab_v3_257'), picture);
    const scores = floatsOf(outputs, 'ResizeBilinear_3');
    const { findings } = await serviceRun(manifest, dataFile('deeplab_v3_257'), picture);
    expect(findings.masks.length).toBeGreaterThan(0);

    const { width, height } = picture.format;
    let [same, seen] = [0, 0];
    for (let y = 4; y < height; y += 8) {
      for (let x = 4; x < width; x += 8) {
        const cell = Math.floor(y * geometry.scaleY + geometry.offsetY) * 257 + Math.floor(x * geometry.scaleX + geometry.offsetX);
        const classes = [...scores.subarray(cell * 21, cell * 21 + 21)];
        const plain = classes.indexOf(Math.max(...classes));
        const ours = findings.masks.find((mask) => isIn(mask, x, y))?.classIndex ?? 0;
        same += plain === ours ? 1 : 0;
        seen += plain === 0 ? 0 : 1;
      }
    }
    const all = (width / 8) * (height / 8);
    process.stderr.write(`deeplab: ${((same / all) * 100).toFixed(1)} % of the frame alike, ${((seen / all) * 100).toFixed(1)} % is something\n`);
    expect(seen / all).toBeGreaterThan(0.05);
    expect(same / all).toBeGreaterThan(0.97);
  });
});

/** Whether a pixel of the frame is in a mask, as a client would look it up. */
function isIn({ area, width, height, runs }: FrameFindings['masks'][number], x: number, y: number): boolean {
  const [column, row] = [Math.floor(((x - area.x) * width) / area.width), Math.floor(((y - area.y) * height) / area.height)];
  let end = 0;
  for (const [index, length] of runs.entries()) {
    end += length;
    if (row * width + column < end) return index % 2 === 1;
  }
  return false;
}
