import { describe, expect, it } from 'vitest';
import { classColor, objectColor } from '../../../services/sink/overlay.js';
import { Trails } from '../../../services/sink/trails.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';

const MS = 1_000_000n;

/** A frame at `ms` with objects whose boxes' lower edges have their middle at x, 50. */
function frame(ms: number, objects: Record<string, number>, more: Parameters<typeof DetectionRecord.fromPartial>[0] = {}): DetectionRecord {
  const detections = Object.entries(objects).map(([id, x]) => ({ trackId: BigInt(id), classId: 3, box: { x: x - 5, y: 20, width: 10, height: 30 } }));
  return DetectionRecord.fromPartial({ captureTime: { unixNs: BigInt(ms) * MS }, detections, ...more });
}
const xs = (trails: Trails, record: DetectionRecord): number[][] => trails.next(record).map(({ xy }) => [...xy].filter((_, i) => i % 2 === 0));

describe('Trails', () => {
  it('follows the middle of the lower edge, per track', () => {
    const trails = new Trails(1_000, { color: 'class' });
    expect(trails.next(frame(0, { 1: 10, 2: 80 }))).toEqual([]);
    trails.next(frame(40, { 1: 12 }));
    expect(trails.next(frame(80, { 1: 15, 2: 70 }))).toEqual([
      { xy: Float32Array.of(10, 50, 12, 50, 15, 50), color: classColor(3), fades: true },
      { xy: Float32Array.of(80, 50, 70, 50), color: classColor(3), fades: true },
    ]);
  });

  it('forgets what is older than its length, and shows what is lost until then', () => {
    const trails = new Trails(100, { color: 'class' });
    for (const ms of [0, 40, 80]) trails.next(frame(ms, { 1: ms }));
    expect(xs(trails, frame(120, { 1: 120 }))).toEqual([[40, 80, 120]]);
    expect(xs(trails, frame(160, {}))).toEqual([[80, 120]]);
    expect(xs(trails, frame(200, {}))).toEqual([]);
    expect(xs(trails, frame(210, { 1: 7 }))).toEqual([[120, 7]]);
  });

  it('ends with its track, and with its stream', () => {
    const trails = new Trails(1_000, { color: 'class' });
    trails.next(frame(1_000, { 1: 1, 2: 2 }));
    trails.next(frame(1_040, { 1: 3, 2: 4 }));
    expect(xs(trails, frame(1_080, { 2: 6 }, { endedTrackIds: [1n] }))).toEqual([[2, 4, 6]]);
    expect(xs(trails, frame(10, { 2: 9 }))).toEqual([]);
  });

  it('has no more points however many frames there are', () => {
    const trails = new Trails(10_000, { color: 'class' });
    for (let ms = 0; ms < 15_000; ms += 10) trails.next(frame(ms, { 1: ms }));
    const [line] = xs(trails, frame(15_000, { 1: 15_000 }));
    expect(line?.length).toBeGreaterThan(50);
    expect(line?.length).toBeLessThan(130);
    expect(line?.at(-1)).toBe(15_000);
    expect(line?.[0]).toBeGreaterThanOrEqual(5_000);
    expect(line?.[0]).toBeLessThan(5_400);
  });

  it('has the colour of the object, by track where that is asked for', () => {
    const trails = new Trails(1_000, { color: 'track' });
    trails.next(frame(0, { 5: 1 }));
    expect(trails.next(frame(40, { 5: 2 })).map(({ color }) => color)).toEqual([objectColor({ classId: 3, trackId: 5n }, { color: 'track' })]);
  });

  it('is not drawn of objects without a track or box, nor when nobody wants it', () => {
    const trails = new Trails(1_000, { color: 'class' });
    const none = DetectionRecord.fromPartial({ detections: [{ trackId: 1n }] });
    for (let i = 0; i < 3; i++) expect([...trails.next(frame(i, { 0: i })), ...trails.next(none)]).toEqual([]);
    const off = new Trails(0, { color: 'class' });
    off.next(frame(0, { 1: 1 }));
    expect(off.next(frame(40, { 1: 2 }))).toEqual([]);
  });
});
