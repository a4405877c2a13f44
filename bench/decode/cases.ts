import type { OutputTensor, OutputTensors } from '../../services/infer/output_tensor.js';

/** One decoder with outputs of a usual size. */
export interface DecodeCase {
  decoder: string;
  /** For people. */
  shape: string;
  /** Section `decoder` of a manifest, as in YAML. */
  section: Readonly<Record<string, unknown>>;
  task: 'detect' | 'classify' | 'segment' | 'raw';
  classes: number;
  outputs(): OutputTensors;
}

const SIDE = 640;
const COCO = 80;

let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

const floats = (dims: number[], value: (index: number) => number): OutputTensor => {
  const length = dims.reduce((product, dimension) => product * dimension, 1);
  return { type: 'float32', dims, data: Float32Array.from({ length }, (_, index) => value(index)) };
};

const ints = (dims: number[], value: () => number): OutputTensor => {
  const length = dims.reduce((product, dimension) => product * dimension, 1);
  return { type: 'int32', dims, data: Int32Array.from({ length }, value) };
};

/** A score; above 0.5 once in so many. */
const score = (rare: number): number => (random() < 1 / rare ? 0.5 + random() / 2 : random() / 4);
const logit = (): number => (random() < 1 / (100 * COCO) ? 1 + random() : -4 - random());
const coordinate = (): number => random() * SIDE;
const unit = (): number => 0.05 + random() * 0.4;

/** Rows of box, objectness and classes. */
const objectRows = (rows: number) =>
  floats([1, rows, 5 + COCO], (index) => {
    const column = index % (5 + COCO);
    if (column < 4) return column < 2 ? coordinate() : random() * 4;
    return column === 4 ? score(100) : random();
  });

const detector = (
  decoder: string,
  shape: string,
  section: DecodeCase['section'],
  outputs: () => OutputTensors,
  classes = COCO,
): DecodeCase => ({ decoder, shape, section: { kind: decoder, ...section }, task: 'detect', classes, outputs });

/** Rows of a list of detections. */
const list = (dims: number[], columns: ('box' | 'unit' | 'score' | 'class' | 'zero')[]) =>
  floats(dims, (index) => {
    const column = columns[index % columns.length];
    if (column === 'box') return coordinate();
    if (column === 'unit') return unit();
    if (column === 'score') return score(10);
    return column === 'class' ? Math.floor(random() * COCO) : 0;
  });

const yunet = (): OutputTensors =>
  Object.fromEntries(
    [8, 16, 32].flatMap((stride) => {
      const cells = (SIDE / stride) ** 2;
      return [
        [`cls_${stride}`, floats([1, cells, 1], () => score(100))],
        [`obj_${stride}`, floats([1, cells, 1], () => score(10))],
        [`bbox_${stride}`, floats([1, cells, 4], random)],
        [`kps_${stride}`, floats([1, cells, 10], random)],
      ];
    }),
  );

export const CASES: readonly DecodeCase[] = [
  detector('yolov5', '[1,25200,85]', { output: 'o' }, () => ({ o: objectRows(25200) })),
  detector('yolov8', '[1,84,8400]', { output: 'o' }, () => ({
    o: floats([1, 84, 8400], (index) => (index < 4 * 8400 ? coordinate() : score(100 * COCO))),
  })),
  detector('yolo-e2e', '[1,300,6]', { output: 'o' }, () => ({ o: list([1, 300, 6], ['box', 'box', 'box', 'box', 'score', 'class']) })),
  detector('yolox', '[1,8400,85]', { output: 'o', decoded: false }, () => ({ o: objectRows(8400) })),
  detector('yolo-nas', '[300,7]', { output: 'o' }, () => ({ o: list([300, 7], ['zero', 'box', 'box', 'box', 'box', 'score', 'class']) })),
  detector('rtdetr', 'Q = 300', {}, () => ({
    labels: ints([1, 300], () => Math.floor(random() * COCO)),
    boxes: floats([1, 300, 4], coordinate),
    scores: floats([1, 300], () => score(10)),
  })),
  detector('rtdetr-raw', 'logits [1,300,80]', {}, () => ({ logits: floats([1, 300, COCO], logit), pred_boxes: floats([1, 300, 4], unit) })),
  detector('rtdetr-ultralytics', '[1,300,84]', { output: 'o' }, () => ({
    o: floats([1, 300, 84], (index) => (index % 84 < 4 ? unit() : score(100 * COCO))),
  })),
  detector('rfdetr', 'logits [1,300,91]', { classes: 91 }, () => ({ labels: floats([1, 300, 91], logit), dets: floats([1, 300, 4], unit) }), 91),
  detector('ssd', 'scores [1,1917,90]', { boxes: 'b', scores: 's', box_order: 'yxyx' }, () => ({
    b: floats([1, 1917, 4], unit),
    s: floats([1, 1917, 90], () => score(9000)),
  }), 90),
  detector('ssd-tf', 'K = 100', {}, () => ({
    detection_boxes: floats([1, 100, 4], unit),
    detection_scores: floats([1, 100], () => score(10)),
    detection_classes: floats([1, 100], () => Math.floor(random() * COCO)),
    num_detections: floats([1], () => 100),
  })),
  detector('ssd-openvino', '[1,1,200,7]', { output: 'o' }, () => ({
    o: list([1, 1, 200, 7], ['zero', 'class', 'score', 'unit', 'unit', 'unit', 'unit']),
  })),
  detector('efficient-nms', 'K = 100', {}, () => ({
    num_detections: ints([1, 1], () => 100),
    detection_boxes: floats([1, 100, 4], coordinate),
    detection_scores: floats([1, 100], () => score(10)),
    detection_classes: ints([1, 100], () => Math.floor(random() * COCO)),
  })),
  detector('ultraface', '[1,4420,2]', {}, () => ({ boxes: floats([1, 4420, 4], unit), scores: floats([1, 4420, 2], () => score(100)) }), 2),
  detector('yunet', '8400 cells', {}, yunet, 1),
  {
    ...{ decoder: 'classification', shape: '[1,1000] softmax', task: 'classify', classes: 1000 },
    section: { kind: 'classification', output: 'o', activation: 'softmax' },
    outputs: () => ({ o: floats([1, 1000], () => random() * 10) }),
  },
  segmentation('nhwc', '[1,257,257,21]', [1, 257, 257, 21]),
  segmentation('nchw', '[1,19,512,512]', [1, 19, 512, 512]),
  {
    ...{ decoder: 'raw', shape: '[1,84,400], 131 KiB', task: 'raw', classes: 0 },
    section: { kind: 'raw' },
    outputs: () => ({ o: floats([1, 84, 400], random) }),
  },
];

/** Scores that are alike over 8 × 8 pixels, as networks make them bigger, and one class in each block of 32 × 32 that stands out. */
function segmentation(layout: 'nchw' | 'nhwc', shape: string, dims: [number, number, number, number]): DecodeCase {
  const classes = layout === 'nchw' ? dims[1] : dims[3];
  const [height, width] = layout === 'nchw' ? [dims[2], dims[3]] : [dims[1], dims[2]];
  const blocks = Array.from({ length: 1024 }, () => Math.floor(random() * classes));
  const outputs = (): OutputTensors => ({
    o: floats(dims, (index) => {
      const pixel = layout === 'nchw' ? index % (width * height) : Math.floor(index / classes);
      const channel = layout === 'nchw' ? Math.floor(index / (width * height)) : index % classes;
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      const noise = Math.abs(Math.sin((y >> 3) * 12.9898 + (x >> 3) * 78.233 + channel * 37.719) * 43758.5453) % 1;
      return noise + (blocks[(y >> 5) * 32 + (x >> 5)] === channel ? 3 : 0);
    }),
  });
  return { decoder: 'segmentation', shape: `${shape} ${layout}`, section: { kind: 'segmentation', output: 'o', layout }, task: 'segment', classes, outputs };
}
