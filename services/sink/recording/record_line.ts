import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

/** Of records that more than one recorder wants. */
const lines = new WeakMap<DetectionRecord, string>();

/** A frame's record as protobuf's JSON, on one line; raw tensors are left out for their size. */
export function recordLine(record: DetectionRecord): string {
  const known = lines.get(record);
  if (known !== undefined) return known;
  const line = JSON.stringify(DetectionRecord.toJSON({ ...record, tensors: [] }));
  lines.set(record, line);
  return line;
}
