import { describe, expect, it } from 'vitest';
import type { TrackerConfig } from '../../../lib/config.js';
import type { Unversioned } from '../../../lib/messages.js';
import { StreamTracking, type TrackedFrame } from '../../../services/sink/stream_tracking.js';
import { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { TrackHints } from '#proto/framebus/track/v1/track_hints.js';

const { INFERENCE_STATUS_INFERRED: INFERRED, INFERENCE_STATUS_SKIPPED: SKIPPED } = InferenceStatus;
const EPOCH = 77;
const CONFIG = { kind: 'byte', highConfidence: 0.6, lowConfidence: 0.1, newConfidence: null, minOverlap: null, inertia: 0.2, lostMs: 500, confirmHits: 2 } as const;
const FRAME_NS = 100_000_000n;

/** A stream of 100 × 100, ten frames a second. */
function rig(config: Partial<TrackerConfig & { kind: 'byte' | 'oc_sort' }> = {}) {
  const told: Unversioned<TrackHints>[] = [];
  const tracking = new StreamTracking({ ...CONFIG, ...config }, EPOCH, (hints) => told.push(hints));
  const show = (seq: number, detections: Partial<Detection>[] | null, width = 100, weak: Partial<Detection>[] = []): TrackedFrame =>
    tracking.next(
      { status: detections === null ? SKIPPED : INFERRED, detections: (detections ?? []).map((one) => Detection.fromPartial(one)), weakDetections: weak.map((one) => Detection.fromPartial(one)) },
      FrameDescriptor.fromPartial({ streamId: 'gate', seq: BigInt(seq), format: { width, height: 100 }, captureTime: { unixNs: BigInt(seq) * FRAME_NS } }),
    );
  return { show, told };
}

const person = (x: number, more: Partial<Detection> = {}): Partial<Detection> => ({
  box: { x, y: 20, width: 20, height: 40 },
  classId: 1,
  label: 'person',
  confidence: 0.9,
  ...more,
});

describe('StreamTracking', () => {
  it('names an object by the same id while it moves, and says once when it has gone', () => {
    const { show } = rig();
    show(0, []);
    // Not sure yet.
    expect(show(1, [person(13)]).detections[0]?.trackId).toBe(0n);
    const ids = [2, 3].map((seq) => show(seq, [person(10 + 3 * seq)]).detections[0]?.trackId);
    expect(new Set(ids).size).toBe(1);
    const [id = 0n] = ids;
    expect(id >> 32n).toBe(BigInt(EPOCH));
    const ended = [4, 5, 6, 7, 8, 9, 10, 11].map((seq) => show(seq, []).endedTrackIds);
    expect(ended.flat()).toEqual([id]);
  });

  it('shows what is less sure than people want only where it goes on with an object that has its id', () => {
    const { show } = rig();
    const weak = (x: number): Partial<Detection> => person(x, { confidence: 0.3 });
    // Nobody is known yet.
    expect(show(0, [], 100, [weak(10)]).detections).toEqual([]);
    expect(show(1, [person(10)], 100, [weak(60)]).detections).toHaveLength(1);
    // Not confirmed: no weak one goes on with it.
    expect(show(2, [], 100, [weak(10)]).detections).toEqual([]);
    show(3, [person(10)]);
    const id = show(4, [person(10)]).detections[0]?.trackId ?? 0n;
    expect(id).not.toBe(0n);
    const shown = show(5, [person(60, { label: 'other', classId: 2 })], 100, [weak(60), weak(11)]).detections;
    expect(shown.map(({ label, trackId, confidence, predicted }) => [label, trackId, Math.round(confidence * 10), predicted])).toEqual([
      ['other', 0n, 9, false],
      ['person', id, 3, true],
    ]);
    expect(shown[1]?.box).toEqual(shown[1]?.trackBox);
    expect(show(6, null).detections).toMatchObject([{ trackId: id, predicted: true }]);
  });

  it('gives what is tracked the box of its track, too: steadier than the model’s, within the frame', () => {
    const { show } = rig();
    show(0, []);
    expect(show(1, [person(10)]).detections[0]).toMatchObject({ trackId: 0n, trackBox: undefined });
    for (const seq of [2, 3, 4, 5]) show(seq, [person(10)]);
    const jumped = show(6, [person(15)]).detections[0];
    expect(jumped?.box?.x).toBe(15);
    expect(jumped?.trackBox?.x).toBeGreaterThan(10);
    expect(jumped?.trackBox?.x).toBeLessThan(15);
    const predicted = show(7, null).detections[0];
    expect(predicted?.trackBox).toEqual(predicted?.box);
    const cut = rig().show(0, [person(10, { box: { x: 90, y: 70, width: 20, height: 40 } })]).detections[0];
    expect(cut?.trackBox).toEqual({ x: 90, y: 70, width: 10, height: 30 });
  });

  it('says where objects are expected in frames that nobody looked at, within the frame, for a moment', () => {
    const { show } = rig();
    for (const seq of [0, 1, 2]) show(seq, [person(60 + 10 * seq)]);
    const [expected] = show(3, null).detections;
    expect(expected).toMatchObject({ label: 'person', classId: 1, predicted: true });
    expect(expected?.box?.x).toBeGreaterThan(80);
    expect((expected?.box?.x ?? 0) + (expected?.box?.width ?? 0)).toBeLessThanOrEqual(100);
    expect(show(14, null).detections).toEqual([]);
  });

  it.each(['byte', 'oc_sort'] as const)('tracks by the limits that are configured: %s', (kind) => {
    const faint = (x: number): Partial<Detection> => person(x, { confidence: 0.65 });
    const isTracked = (config: Partial<Omit<TrackerConfig, 'kind'>>, ...xs: number[]): boolean => {
      const { show } = rig({ kind, ...config });
      const last = xs.map((x, seq) => show(seq, [faint(x)]).detections[0]).at(-1);
      return last !== undefined && last.trackId !== 0n;
    };
    expect(isTracked({}, 10, 10)).toBe(false);
    expect(isTracked({ newConfidence: 0.65 }, 10, 10)).toBe(true);
    // Half a box further, in one step.
    expect(isTracked({ newConfidence: 0.65, minOverlap: 0.02 }, 10, 10, 24)).toBe(true);
    expect(isTracked({ newConfidence: 0.65, minOverlap: 0.95 }, 10, 10, 24)).toBe(false);
  });

  it('keeps what secondary models said of an object, until they say something else', () => {
    const { show } = rig();
    const red = { attributes: [{ model: 'colour', classId: 0, label: 'red', confidence: 0.8 }], lookedBy: ['colour'] };
    show(0, [person(10)]);
    show(1, [person(10, red)]);
    const kept = show(2, [person(10)]).detections[0];
    expect(kept?.attributes.map(({ label }) => label)).toEqual(['red']);
    expect(kept?.lookedBy).toEqual([]);
    expect(show(3, null).detections[0]?.attributes.map(({ label }) => label)).toEqual(['red']);
    expect(show(4, [person(10, { lookedBy: ['colour'] })]).detections[0]?.attributes).toEqual([]);
    expect(show(5, [person(10)]).detections[0]?.attributes).toEqual([]);
  });

  it('tells workers which objects there are, and who has looked at them when', () => {
    const { show, told } = rig();
    show(0, []);
    show(1, [person(10)]);
    show(2, null);
    show(3, [person(12, { lookedBy: ['colour'] })]);
    expect(told.map(({ seq }) => seq)).toEqual([0n, 1n, 3n]);
    expect(told[0]?.tracks).toEqual([]);
    const [track] = told[2]?.tracks ?? [];
    expect(track).toMatchObject({ classId: 1, looked: { colour: 4n } });
    expect(track?.box?.x).toBeCloseTo(12, 0);
  });

  it('begins anew when the picture has another size: boxes are in its pixels', () => {
    const { show } = rig();
    show(0, [person(10)]);
    const before = show(1, [person(10)]).detections[0]?.trackId ?? 0n;
    const { endedTrackIds } = show(2, [person(10)], 50);
    expect(endedTrackIds).toEqual([before]);
    expect(show(3, [person(10)], 50).detections[0]?.trackId).not.toBe(before);
  });
});
