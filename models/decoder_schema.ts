import { z } from 'zod';
import { integer, show, text } from '../lib/config/fields.js';

const output = (default_?: string) => (default_ === undefined ? text : text.default(default_)).describe('Name of the output of the model.');

const strides = z
  .array(integer(1, 1024))
  .min(1)
  .default([8, 16, 32])
  .describe('Network pixels of a cell of each grid, in the order in which the model writes the grids.');

const classes = integer(1, 100_000)
  .optional()
  .describe('Class channels of the model, where the last ones have no label. Default: as many as the labels need.');

const multi_label = z
  .boolean()
  .default(false)
  .describe('Report every class of a box above its threshold, not the best one only.');

const boxOrder = z.enum(['yxyx', 'xyxy']).describe('Order of a box: y1, x1, y2, x2 as TensorFlow writes it, or x1, y1, x2, y2.');

/** Raw tensors of a frame that a message can carry unless the manifest says otherwise, in bytes. */
const RAW_BYTES = 256 * 1024;

/** A decoder and its options; `kind` is declared, never guessed from shapes. */
const detectors = [
  z
    .strictObject({ kind: z.literal('yolov5'), output: output(), strides, anchors: integer(1, 16).default(3).describe('Boxes of a cell.'), multi_label, classes })
    .describe('YOLOv5, v7: [N,cells×anchors,5+C] of cx, cy, w, h in network pixels, objectness, classes, all after sigmoid.'),
  z
    .strictObject({ kind: z.literal('yolov8'), output: output(), strides, multi_label, classes })
    .describe('YOLOv8, v9, 11, v5u, and YOLO26 with end2end=False: [N,4+C,cells], channel after channel, no objectness.'),
  z
    .strictObject({ kind: z.literal('yolo-e2e'), output: output(), classes })
    .describe('YOLOv10, YOLO26: [N,K,6] of x1, y1, x2, y2 in network pixels, score, class; suppressed by the model.'),
  z
    .strictObject({
      kind: z.literal('yolox'),
      output: output(),
      strides,
      decoded: z.boolean().describe('Whether the graph applies grid, stride and exp itself (--decode_in_inference).'),
      multi_label,
      classes,
    })
    .describe('YOLOX: [N,cells,5+C], objectness and classes after sigmoid.'),
  z
    .strictObject({ kind: z.literal('yolo-nas'), output: output(), classes })
    .describe('YOLO-NAS, flat: [K,7] of picture, x1, y1, x2, y2 in network pixels, score, class; a class below 0 ends the list.'),
  z
    .strictObject({ kind: z.literal('rtdetr'), labels: output('labels'), boxes: output('boxes'), scores: output('scores'), classes })
    .describe(
      'RT-DETR, D-FINE as deployed: labels [N,Q], boxes [N,Q,4] x1, y1, x2, y2 in the size that extra_inputs gives (orig_target_sizes: width_height), scores [N,Q].',
    ),
  z
    .strictObject({ kind: z.literal('rtdetr-raw'), logits: output('logits'), boxes: output('pred_boxes'), classes })
    .describe('RT-DETR, D-FINE without post-processing: logits [N,Q,C], boxes [N,Q,4] cx, cy, w, h from 0 to 1. Every class of a query counts.'),
  z
    .strictObject({ kind: z.literal('rtdetr-ultralytics'), output: output(), multi_label, classes })
    .describe('RT-DETR as Ultralytics exports it: [N,Q,4+C] of cx, cy, w, h from 0 to 1, classes after sigmoid.'),
  z
    .strictObject({ kind: z.literal('rfdetr'), logits: output('labels'), boxes: output('dets'), classes })
    .describe('RF-DETR: as rtdetr-raw. Weights trained on COCO have channels 0 to 90, channel = COCO id: give classes: 91 and the labels by id.'),
  z
    .strictObject({ kind: z.literal('ssd'), boxes: output(), scores: output(), box_order: boxOrder, classes })
    .describe('SSD before suppression: boxes [N,A,4] from 0 to 1, scores [N,A,C] after sigmoid or softmax.'),
  z
    .strictObject({
      kind: z.literal('ssd-tf'),
      boxes: output('detection_boxes'),
      scores: output('detection_scores'),
      labels: output('detection_classes'),
      count: output('num_detections'),
      box_order: boxOrder.default('yxyx'),
      classes,
    })
    .describe('SSD after TensorFlow’s own suppression: boxes [N,K,4] from 0 to 1, scores [N,K], classes [N,K], number [N].'),
  z
    .strictObject({ kind: z.literal('ssd-openvino'), output: output(), classes })
    .describe('SSD of OpenVINO (DetectionOutput): [1,1,K,7] of picture, class, score, x1, y1, x2, y2 from 0 to 1; a picture below 0 ends the list.'),
  z
    .strictObject({
      kind: z.literal('efficient-nms'),
      count: output('num_detections'),
      boxes: output('detection_boxes'),
      scores: output('detection_scores'),
      labels: output('detection_classes'),
      box_order: boxOrder.default('xyxy'),
      box_unit: z.enum(['pixels', 'unit']).default('pixels').describe('Boxes in network pixels, or from 0 to 1.'),
      classes,
    })
    .describe('TensorRT’s EfficientNMS: number [N,1], boxes [N,K,4], scores [N,K], classes [N,K].'),
  z
    .strictObject({ kind: z.literal('ultraface'), boxes: output('boxes'), scores: output('scores'), classes })
    .describe('UltraFace: boxes [N,A,4] x1, y1, x2, y2 from 0 to 1, scores [N,A,2]; channel 0 is background, 1 is a face.'),
  z
    .strictObject({ kind: z.literal('yunet'), strides, classes })
    .describe('YuNet: cls_S, obj_S, bbox_S and kps_S for every stride S; one class, five landmarks.'),
] as const;

const others = [
  z
    .strictObject({
      kind: z.literal('classification'),
      output: output(),
      activation: z
        .enum(['none', 'softmax', 'sigmoid'])
        .describe('What makes scores from 0 to 1 of the output; none: the graph has done so.'),
      classes,
    })
    .describe('A classifier: [N,C].'),
  z
    .strictObject({
      kind: z.literal('segmentation'),
      output: output(),
      layout: z
        .enum(['nchw', 'nhwc', 'map'])
        .describe('nchw: scores [N,C,h,w]. nhwc: scores [N,h,w,C]. map: class of each pixel, [N,h,w]. The best class of a pixel is taken.'),
      classes,
    })
    .describe('A class for every pixel.'),
  z
    .strictObject({
      kind: z.literal('raw'),
      outputs: z.array(text).min(1).optional().describe('Outputs to hand on; all when left out.'),
      max_bytes: integer(1, 64 * 1024 * 1024)
        .default(RAW_BYTES)
        .describe('Most bytes of one frame’s tensors; the model is refused when they are larger, and when NATS takes no such message.'),
      classes,
    })
    .describe('Outputs handed on as they are, first dimension N.'),
  z
    .strictObject({
      kind: z.literal('module'),
      module: text.describe('JavaScript module with a function createDecoder; a path from the folder of the manifest. See examples/decoder.'),
      options: z.record(z.string(), z.unknown()).default({}).describe('Handed to createDecoder.'),
      max_bytes: integer(1, 64 * 1024 * 1024).default(RAW_BYTES).describe('As of raw.'),
      classes,
    })
    .describe('A decoder of your own.'),
] as const;

const kinds = [...detectors, ...others].map((option) => option.shape.kind.value);

const kindOf = (decoder: unknown): unknown => (typeof decoder === 'object' && decoder !== null && 'kind' in decoder ? decoder.kind : decoder);

export const decoderSchema = z.discriminatedUnion('kind', [...detectors, ...others], {
  error: (issue) => `must name a decoder as kind: ${kinds.slice(0, -1).join(', ')} or ${kinds.at(-1) ?? ''}; is ${show(kindOf(issue.input))}`,
});

/** A decoder, as people write it. */
export type DecoderSection = z.infer<typeof decoderSchema>;
