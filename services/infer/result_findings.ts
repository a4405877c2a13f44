import type { Detection } from '#proto/framebus/detection/v1/detection.js';
import type { FrameClassification } from '#proto/framebus/detection/v1/frame_classification.js';
import { DataType, type RawTensor as TensorMessage } from '#proto/framebus/detection/v1/raw_tensor.js';
import type { SegmentationMask } from '#proto/framebus/detection/v1/segmentation_mask.js';
import type { ClassMask } from './class_mask.js';
import type { ClassScore, RawTensor } from './findings.js';
import { ROW } from './frame_boxes.js';
import type { FrameFindings } from './frame_findings.js';
import type { TensorType } from './output_tensor.js';

type Labels = ReadonlyMap<number, string>;

/**
 * Detections of a frame, as clients get them.
 *
 * @param landmarks see `toFrameLandmarks`
 */
export function toDetections(rows: Float32Array, labels: Labels, landmarks: Float32Array = new Float32Array(0)): Detection[] {
  const count = rows.length / ROW;
  const numbers = count === 0 ? 0 : landmarks.length / count;
  return Array.from({ length: count }, (_, index) => {
    const [x = 0, y = 0, width = 0, height = 0, confidence = 0, classId = 0] = rows.subarray(index * ROW, (index + 1) * ROW);
    const points = toPoints(landmarks.subarray(index * numbers, (index + 1) * numbers));
    return { box: { x, y, width, height }, classId, label: labels.get(classId) ?? '', confidence, landmarks: points, attributes: [], parts: [], model: '', trackId: 0n, predicted: false, lookedBy: [], trackBox: undefined };
  });
}

/** A box that has none among others that do has NaN in their place. */
function toPoints(xy: Float32Array): { x: number; y: number }[] {
  const points = Array.from({ length: xy.length / 2 }, (_, index) => ({ x: xy[index * 2] ?? 0, y: xy[index * 2 + 1] ?? 0 }));
  return points.some(({ x, y }) => Number.isNaN(x) || Number.isNaN(y)) ? [] : points;
}

/** What was found beside boxes, as clients get it. */
export function toFrameMessages(
  { classes, masks, tensors }: FrameFindings,
  labels: Labels,
): { classifications: FrameClassification[]; masks: SegmentationMask[]; tensors: TensorMessage[] } {
  return {
    classifications: classes.map((score) => toClassification(score, labels)),
    masks: masks.map((mask) => toMask(mask, labels)),
    tensors: tensors.map(toTensor),
  };
}

const toClassification = ({ classIndex, score }: ClassScore, labels: Labels): FrameClassification => ({
  classId: classIndex,
  label: labels.get(classIndex) ?? '',
  confidence: score,
});

const toMask = ({ classIndex, ...mask }: ClassMask, labels: Labels): SegmentationMask => ({
  classId: classIndex,
  label: labels.get(classIndex) ?? '',
  ...mask,
});

const DATA_TYPES: Readonly<Record<TensorType, DataType>> = {
  float32: DataType.DATA_TYPE_FLOAT32,
  float16: DataType.DATA_TYPE_FLOAT16,
  float64: DataType.DATA_TYPE_FLOAT64,
  int8: DataType.DATA_TYPE_INT8,
  uint8: DataType.DATA_TYPE_UINT8,
  int16: DataType.DATA_TYPE_INT16,
  uint16: DataType.DATA_TYPE_UINT16,
  int32: DataType.DATA_TYPE_INT32,
  uint32: DataType.DATA_TYPE_UINT32,
  int64: DataType.DATA_TYPE_INT64,
  uint64: DataType.DATA_TYPE_UINT64,
  bool: DataType.DATA_TYPE_BOOL,
};

const toTensor = ({ name, type, dims, bytes }: RawTensor): TensorMessage => ({
  name,
  type: DATA_TYPES[type],
  shape: dims,
  data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
});
