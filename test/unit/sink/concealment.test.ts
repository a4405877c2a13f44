import { describe, expect, it } from 'vitest';
import { Concealment } from '../../../services/sink/concealment.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

const MS = 1_000_000n;
const { INFERENCE_STATUS_INFERRED: INFERRED, INFERENCE_STATUS_SUPERSEDED: SUPERSEDED } = InferenceStatus;
type Partial = NonNullable<Parameters<typeof DetectionRecord.fromPartial>[0]>;

const box = (x: number, width = 100) => ({ x, y: 50, width, height: 100 });
/** What is concealed of such a box: a tenth more on each side. */
const around = (x: number, width = 100) => ({ x: x - width / 10, y: 40, width: width * 1.2, height: 120, with: 'blur' });

/** Feeds frames of 640 × 480, 40 ms apart. */
function rig(labels = ['face']) {
  const concealment = new Concealment({ labels, with: 'blur' });
  let ms = 0;
  const next = (record: Partial, stepMs = 40) => {
    ms += stepMs;
    return concealment.next(DetectionRecord.fromPartial({ width: 640, height: 480, ...record }), BigInt(ms) * MS);
  };
  const seen = (...detections: NonNullable<Partial['detections']>) => next({ status: INFERRED, detections });
  const unseen = (detections: NonNullable<Partial['detections']> = [], stepMs = 40) => next({ status: SUPERSEDED, detections }, stepMs);
  return { next, seen, unseen };
}
const everything = (areas: { width: number }[]): boolean => areas.length === 1 && areas[0]?.width === Infinity;

describe('Concealment', () => {
  it('conceals what has the label, in any case, and nothing else', () => {
    const { seen } = rig([' Face ']);
    expect(seen({ label: 'face', box: box(100) }, { label: 'FACE', box: box(300) }, { label: 'car', box: box(10) })).toEqual([around(100), around(300)]);
    expect(seen()).toEqual([]);
  });

  it('conceals nothing when nothing is to be, whoever looks', () => {
    const { seen, unseen } = rig([]);
    expect([...unseen(), ...seen({ label: 'face', box: box(1) }), ...unseen([], 9_000)]).toEqual([]);
  });

  it('keeps what was seen until somebody looks again', () => {
    const { seen, unseen } = rig();
    seen({ label: 'face', box: box(100) });
    for (let i = 0; i < 3; i++) expect(unseen([], 600)).toEqual([around(100)]);
    expect(seen()).toEqual([]);
  });

  it('conceals all of a picture before the first look, and when the last one is long ago', () => {
    const { seen, unseen } = rig();
    expect(everything(unseen())).toBe(true);
    expect(seen()).toEqual([]);
    expect(unseen([], 2_000)).toEqual([]);
    expect(everything(unseen([], 1))).toBe(true);
    expect(seen()).toEqual([]);
  });

  it('conceals an object both where the model and where its track has it', () => {
    const { seen, unseen } = rig();
    expect(seen({ label: 'face', box: box(100), trackBox: box(110), trackId: 7n })).toEqual([around(100), around(110)]);
    // Nobody has looked: still both.
    expect(unseen()).toEqual([around(100), around(110)]);
    expect(seen({ label: 'face', box: box(130), trackBox: box(130), trackId: 7n })).toEqual([around(130)]);
  });

  it('goes with tracked objects where they are expected', () => {
    const { seen, unseen } = rig();
    seen({ label: 'face', box: box(100), trackId: 7n });
    expect(unseen([{ label: 'face', box: box(130), trackId: 7n, predicted: true }])).toEqual([around(130)]);
    expect(seen({ label: 'face', box: box(160), trackId: 7n })).toEqual([around(160)]);
  });

  it('keeps a tracked object that is missed where it was, for a second, or until its track ends', () => {
    const { seen, next } = rig();
    seen({ label: 'face', box: box(100), trackId: 7n }, { label: 'face', box: box(300), trackId: 8n });
    expect(seen()).toEqual([around(100), around(300)]);
    expect(next({ status: INFERRED, endedTrackIds: [8n] })).toEqual([around(100)]);
    expect(next({ status: INFERRED }, 1_000)).toEqual([]);
    expect(seen({ label: 'face', box: box(200), trackId: 7n })).toEqual([around(200)]);
  });

  it('conceals parts, and keeps them in their object until their model looks again', () => {
    const { seen, unseen } = rig();
    const face = { label: 'face', model: 'faces', box: { x: 120, y: 60, width: 20, height: 40 } };
    const plate = { label: 'plate', model: 'plates', box: { x: 1, y: 2, width: 3, height: 4 } };
    const person = { label: 'person', trackId: 7n };
    const [first] = seen({ ...person, box: box(100), parts: [face, plate], lookedBy: ['faces', 'plates'] });
    expect(first).toEqual({ x: 118, y: 56, width: 24, height: 48, with: 'blur' });
    // The object has moved by 50 and is twice as wide; nobody looked for its face.
    const moved = { x: 186, y: 56, width: 48, height: 48, with: 'blur' };
    expect(unseen([{ ...person, box: box(150, 200), predicted: true }])).toEqual([moved]);
    expect(seen({ ...person, box: box(150, 200), lookedBy: ['plates'] })).toEqual([moved]);
    expect(seen({ ...person, box: box(150, 200), lookedBy: ['faces'] })).toEqual([]);
  });

  it('conceals the cells of a mask, at least', () => {
    const { next } = rig(['sky']);
    const mask = { label: 'sky', width: 4, height: 4, area: { x: 0, y: 0, width: 100, height: 200 } };
    const concealed = (runs: number[]) => next({ status: INFERRED, masks: [{ ...mask, runs }] });
    expect(concealed([5, 2])).toEqual([{ x: 25 - 5, y: 50 - 5, width: 60, height: 60, with: 'blur' }]);
    expect(concealed([7, 2])).toEqual([{ x: -10, y: 50 - 10, width: 120, height: 120, with: 'blur' }]);
    expect(concealed([16])).toEqual([]);
  });

  it('conceals all where it is not known where the object is', () => {
    const { seen, next } = rig();
    expect(everything(seen({ label: 'face' }))).toBe(true);
    seen({ label: 'face', box: box(100), trackId: 7n });
    // Of another size: nothing is known any more.
    expect(everything(next({ status: SUPERSEDED, width: 320, height: 240 }))).toBe(true);
  });
});
