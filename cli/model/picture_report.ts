import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import { table } from '../status/table.js';
import type { PictureTest } from './picture_test.js';

/** What was seen and how long it took, for people. */
export function pictureReport(test: PictureTest, image: string): string {
  const { engine, width, height, timesMs } = test;
  const once = `loaded in ${msText(timesMs.load)}, warm after ${msText(timesMs.warmUp)}, picture decoded in ${msText(timesMs.picture)}`;
  const each = `preprocess ${msText(timesMs.preprocess)}, engine ${msText(timesMs.engine)}, decode ${msText(timesMs.decode)}`;
  return [`${image}: ${width}×${height}`, '', seenText(test), '', `${each} (${engine})`, once].join('\n');
}

const msText = (ms: number): string => `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

function seenText({ task, detections, classifications, masks, tensors }: PictureTest): string {
  if (task === 'raw') return rows(['tensor', 'type', 'shape', 'bytes'], [3], tensors.map(({ name, type, dims, bytes }) => [name, type, `[${dims.join(', ')}]`, String(bytes.length)]));
  if (task === 'classify') return rows(['label', 'confidence'], [1], classifications.map(({ label, confidence }) => [label, percent(confidence)]));
  if (task === 'segment') {
    return rows(['label', 'of the picture'], [1], masks.map(({ label, cells, width, height }) => [label, percent(cells / (width * height))]));
  }
  return rows(['label', 'confidence', 'x', 'y', 'width', 'height', 'landmarks'], [1, 2, 3, 4, 5], detections.map(detectionRow));
}

function rows(head: string[], toTheRight: readonly number[], body: readonly string[][]): string {
  if (body.length === 0) return 'Nothing was seen; --min-confidence shows what is less certain.';
  // A last column in which nothing stands is left out.
  const last = head.length - 1;
  const shown = [head, ...body].map((row) => (body.some((one) => one[last] !== '') ? row : row.slice(0, last)));
  return table(shown, new Set(toTheRight));
}

function detectionRow({ label, confidence, box, landmarks }: Detection): string[] {
  const pixels = [box?.x, box?.y, box?.width, box?.height].map((value) => (value ?? 0).toFixed(0));
  return [label, percent(confidence), ...pixels, landmarks.map(({ x, y }) => `${x.toFixed(0)},${y.toFixed(0)}`).join(' ')];
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** The same for programs. */
export function pictureJson(test: PictureTest, names: { model: string; image: string; out: string | null }): object {
  const { timesMs: ms } = test;
  return {
    model: names.model,
    task: test.task,
    image: names.image,
    width: test.width,
    height: test.height,
    detections: test.detections.map(detectionJson),
    classifications: test.classifications.map(({ label, classId, confidence }) => ({ label, class_id: classId, confidence: round(confidence, 4) })),
    masks: test.masks.map(({ classId, ...mask }) => ({ class_id: classId, ...mask })),
    tensors: test.tensors.map(({ name, type, dims, bytes }) => ({ name, type, shape: dims, bytes: bytes.length })),
    engine: test.engine,
    times_ms: {
      load: round(ms.load, 3),
      warm_up: round(ms.warmUp, 3),
      picture: round(ms.picture, 3),
      preprocess: round(ms.preprocess, 3),
      engine: round(ms.engine, 3),
      decode: round(ms.decode, 3),
    },
    out: names.out,
  };
}

function detectionJson({ label, classId, confidence, box, landmarks }: Detection): object {
  return {
    label,
    class_id: classId,
    confidence: round(confidence, 4),
    x: round(box?.x ?? 0, 2),
    y: round(box?.y ?? 0, 2),
    width: round(box?.width ?? 0, 2),
    height: round(box?.height ?? 0, 2),
    landmarks: landmarks.map(({ x, y }) => ({ x: round(x, 2), y: round(y, 2) })),
  };
}
