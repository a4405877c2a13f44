import { describe, expect, it } from 'vitest';
import { createTracker, type TrackerOptions } from '../../../../services/sink/tracking/create_tracker.js';
import type { EndedTrack, Tracker, TrackerDetection, TrackerUpdate } from '../../../../services/sink/tracking/tracker.js';

const NS_PER_SECOND = 1e9;
const at = (seconds: number): bigint => BigInt(Math.round(seconds * NS_PER_SECOND));

/** A person-like box of 40 × 100 whose left edge is at x. */
const person = (x: number, y = 100, confidence = 0.9, classId = 0): TrackerDetection => ({ x, y, width: 40, height: 100, confidence, classId });

const look = (tracker: Tracker, seconds: number, ...detections: TrackerDetection[]): TrackerUpdate =>
  tracker.update({ detections, timeNs: at(seconds) });

/** Shows a person who walks from x at some pixels a second, over frames that begin at 0. */
function walk(tracker: Tracker, frames: number, fps: number, x: number, speed: number): bigint {
  let id: bigint | null = null;
  for (let frame = 0; frame < frames; frame++) {
    id = look(tracker, frame / fps, person(x + (speed * frame) / fps)).trackIds[0] ?? null;
  }
  if (id === null) throw new Error('the walker has no track');
  return id;
}

const EPOCH = 7;
const kinds: TrackerOptions['kind'][] = ['byte', 'oc_sort'];

describe.each(kinds)('%s tracker', (kind) => {
  const create = (options: Omit<TrackerOptions, 'kind'> = {}, epoch = EPOCH): Tracker => createTracker(epoch, { kind, ...options });

  describe('lifecycle', () => {
    it('believes the first frame at once, and later ones at the third detection in a row', () => {
      const tracker = create();
      expect(look(tracker, 0, person(0)).trackIds).toEqual([(7n << 32n) | 1n]);
      expect(look(tracker, 0.1, person(0), person(300)).trackIds).toEqual([(7n << 32n) | 1n, null]);
      expect(look(tracker, 0.2, person(300), person(0)).trackIds).toEqual([null, (7n << 32n) | 1n]);
      const third = look(tracker, 0.3, person(0), person(300));
      expect(third.trackIds).toEqual([(7n << 32n) | 1n, (7n << 32n) | 2n]);
      expect(third.tracks.map((box) => [box.trackId & 0xffn, box.state, box.detection])).toEqual([
        [1n, 'active', 0],
        [2n, 'active', 1],
      ]);
    });

    it('forgets what is tentative at its first miss, without a word', () => {
      const tracker = create();
      look(tracker, 0);
      look(tracker, 0.1, person(0));
      look(tracker, 0.2, person(0));
      expect(look(tracker, 0.3)).toEqual({ trackIds: [], tracks: [], ended: [] });
      expect(look(tracker, 0.4, person(0)).trackIds).toEqual([null]);
    });

    it('loses an object that is not seen, and knows it again', () => {
      const tracker = create();
      const id = walk(tracker, 5, 10, 0, 0);
      const missed = look(tracker, 0.5);
      expect(missed.tracks).toMatchObject([{ trackId: id, state: 'lost', detection: null }]);
      expect(missed.tracks[0]!.ageMs).toBeCloseTo(500);
      expect(missed.tracks[0]!.unseenMs).toBeCloseTo(100);
      expect(missed.ended).toEqual([]);
      const back = look(tracker, 0.6, person(0));
      expect(back.trackIds).toEqual([id]);
      expect(back.tracks).toMatchObject([{ trackId: id, state: 'active', detection: 0, unseenMs: 0 }]);
    });

    it.each([5, 10, 30, 60])('ends what was unseen for longer than lostMs, at %i frames a second', (fps) => {
      const tracker = create({ lostMs: 1500 });
      const id = walk(tracker, fps + 1, fps, 0, 0);
      let endedAt = Number.NaN;
      for (let frame = fps + 1; frame < 4 * fps; frame++) {
        const { ended, tracks } = look(tracker, frame / fps);
        if (ended.length === 0) continue;
        endedAt = frame / fps;
        expect(tracks).toEqual([]);
        expect(ended).toEqual([{ trackId: id, classId: 0, firstSeenNs: 0n, lastSeenNs: at(1), detections: fps + 1 }]);
        break;
      }
      // In the first frame after 1.5 s; a frame on the limit is still in time.
      expect(endedAt).toBeGreaterThan(2.5);
      expect(endedAt).toBeLessThan(2.5 + 1.01 / fps + 1e-9);
    });

    it('says once that a track has ended', () => {
      const tracker = create();
      walk(tracker, 3, 10, 0, 0);
      expect(look(tracker, 9).ended).toHaveLength(1);
      expect(look(tracker, 9.1).ended).toEqual([]);
      expect(tracker.reset()).toEqual([]);
    });

    it('ends all tracks on reset, and gives other ids afterwards', () => {
      const tracker = create();
      const id = walk(tracker, 3, 10, 0, 0);
      expect(tracker.reset().map((track) => track.trackId)).toEqual([id]);
      expect(tracker.predict(at(0.3))).toEqual([]);
      const { trackIds, ended } = look(tracker, 0.3, person(0));
      expect(trackIds).toEqual([id + 1n]);
      expect(ended).toEqual([]);
    });
  });

  describe('association', () => {
    it('keeps two who cross apart', () => {
      const tracker = create();
      const [speed, fps] = [120, 15];
      const ids: (bigint | null)[][] = [];
      for (let frame = 0; frame <= 4 * fps; frame++) {
        const way = (speed * frame) / fps;
        // The one in front hides the other while more than half is covered.
        const detections = [person(way, 100), person(480 - way, 110)];
        ids.push(look(tracker, frame / fps, ...(Math.abs(480 - 2 * way) < 20 ? detections.slice(0, 1) : detections)).trackIds);
      }
      const [right, left] = ids[0]!;
      expect(ids.every((frame) => frame[0] === right)).toBe(true);
      expect(ids.filter((frame) => frame.length === 1).length).toBeGreaterThan(1);
      expect(ids.filter((frame) => frame.length === 2).every((frame) => frame[1] === left)).toBe(true);
    });

    it('finds a walker again behind a pillar, where the way leads', () => {
      const tracker = create();
      const [speed, fps] = [100, 10];
      const id = walk(tracker, 15, fps, 0, speed);
      for (let frame = 15; frame < 25; frame++) look(tracker, frame / fps);
      // A metre and more from where it was last seen: without the motion there is no overlap.
      const { trackIds } = look(tracker, 2.5, person(250));
      expect(trackIds).toEqual([id]);
    });

    it('searches widely only for what is sure to be there', () => {
      // 30 pixels in a fifth of a second: too far for boxes of 40, not for what may be anywhere by then.
      const jump = (isSure: boolean): (bigint | null)[] => {
        const tracker = create();
        if (!isSure) look(tracker, 0);
        return [1, 2, 3, 4].map((frame) => look(tracker, frame / 5, person(30 * frame)).trackIds[0] ?? null);
      };
      expect(new Set(jump(true))).toEqual(new Set([(7n << 32n) | 1n]));
      expect(jump(false)).toEqual([null, null, null, null]);
    });

    it('never takes one class for another', () => {
      const tracker = create();
      const id = walk(tracker, 5, 10, 0, 0);
      const { trackIds, tracks } = look(tracker, 0.5, person(0, 100, 0.9, 2));
      expect(trackIds).toEqual([null]);
      expect(tracks).toMatchObject([{ trackId: id, classId: 0, state: 'lost' }]);
      look(tracker, 0.6, person(0, 100, 0.9, 2));
      expect(look(tracker, 0.7, person(0, 100, 0.9, 2), person(0)).trackIds).toEqual([id + 1n, id]);
    });

    it('keeps an active track with weak detections, and begins none with them', () => {
      const tracker = create();
      const id = walk(tracker, 3, 10, 0, 0);
      for (let frame = 3; frame < 8; frame++) {
        expect(look(tracker, frame / 10, person(0, 100, 0.2), person(300, 100, 0.5)).trackIds).toEqual([id, null]);
      }
      expect(look(tracker, 0.8, person(0, 100, 0.05)).tracks).toMatchObject([{ trackId: id, state: 'lost' }]);
      // A weak detection does not bring back what is lost.
      expect(look(tracker, 0.9, person(0, 100, 0.4)).trackIds).toEqual([null]);
      expect(look(tracker, 1, person(0, 100, 0.7)).trackIds).toEqual([id]);
    });

    it('keeps an active track with what nobody asked for, and does nothing else with it, however confident it is', () => {
      const tracker = create();
      const unasked = (x: number): TrackerDetection => ({ ...person(x, 100, 0.9), keepsOnly: true });
      const id = walk(tracker, 3, 10, 0, 0);
      for (const seconds of [0.3, 0.4, 0.5]) expect(look(tracker, seconds, unasked(0), unasked(300)).trackIds).toEqual([id, null]);
      expect(look(tracker, 0.6).tracks).toMatchObject([{ trackId: id, state: 'lost' }]);
      expect(look(tracker, 0.7, unasked(0)).trackIds).toEqual([null]);
      expect(look(tracker, 0.8, person(0)).trackIds).toEqual([id]);
    });

    it('begins tracks from newConfidence on only', () => {
      const tracker = create({ highConfidence: 0.5, newConfidence: 0.8 });
      look(tracker, 0);
      for (const seconds of [0.1, 0.2, 0.3, 0.4]) expect(look(tracker, seconds, person(0, 100, 0.79)).trackIds).toEqual([null]);
      look(tracker, 0.5, person(0, 100, 0.8));
      look(tracker, 0.6, person(0, 100, 0.6));
      expect(look(tracker, 0.7, person(0, 100, 0.6)).trackIds).toEqual([(7n << 32n) | 1n]);
    });

    it('ends the younger of two tracks that are in one place', () => {
      const tracker = create();
      const old = walk(tracker, 30, 10, 0, 0);
      // A jump that no motion explains: another track begins there, while the old one is lost.
      look(tracker, 3, person(200));
      look(tracker, 3.1, person(200));
      const other = look(tracker, 3.2, person(200)).trackIds[0];
      expect(other).toBe(old + 1n);
      // It walks to where the old one still is expected.
      let [x, seconds] = [200, 3.2];
      let ended: readonly EndedTrack[] = [];
      let trackIds: readonly (bigint | null)[] = [];
      while (ended.length === 0 && x > 0) {
        [x, seconds] = [x - 10, seconds + 0.04];
        ({ ended, trackIds } = look(tracker, seconds, person(x)));
      }
      expect(ended).toMatchObject([{ trackId: other }]);
      expect(trackIds).not.toContain(other);
      expect(x).toBeLessThan(10);
      expect(look(tracker, seconds + 0.04, person(x)).trackIds).toEqual([old]);
    });

    it('gives detections without an area no track', () => {
      const tracker = create();
      const broken = [
        { ...person(0), width: 0 },
        { ...person(0), height: -5 },
        { ...person(0), x: Number.NaN },
        { ...person(0), width: Infinity },
        { ...person(0), confidence: Number.NaN },
      ];
      for (const seconds of [0, 0.1, 0.2]) {
        expect(look(tracker, seconds, ...broken)).toEqual({ trackIds: [null, null, null, null, null], tracks: [], ended: [] });
      }
    });
  });

  describe('time', () => {
    it('fills in the boxes of frames that nobody looked at', () => {
      const tracker = create();
      const id = walk(tracker, 20, 10, 0, 100);
      const boxes = tracker.predict(at(1.95));
      expect(boxes).toMatchObject([{ trackId: id, state: 'active', detection: null }]);
      expect(boxes[0]!.x).toBeCloseTo(195, -0.5);
      expect(boxes[0]!.width).toBeCloseTo(40, 0);
      expect(boxes[0]!.unseenMs).toBeCloseTo(50);
      // Looking ahead changes nothing.
      for (let step = 0; step < 50; step++) tracker.predict(at(2 + step));
      expect(look(tracker, 2, person(200)).trackIds).toEqual([id]);
    });

    it('fills in no box of what is tentative, lost, or too long ago', () => {
      const tracker = create({ lostMs: 1000 });
      look(tracker, 0, person(0));
      look(tracker, 0.1, person(0), person(300));
      expect(tracker.predict(at(0.15))).toHaveLength(1);
      expect(tracker.predict(at(1.1))).toHaveLength(1);
      expect(tracker.predict(at(1.2))).toEqual([]);
      look(tracker, 0.2);
      expect(tracker.predict(at(0.25))).toEqual([]);
    });

    it('follows an object over frames that come when they come', () => {
      const tracker = create();
      const times = [0, 0.03, 0.07, 0.2, 0.21, 0.5, 0.54, 0.9, 1.3, 1.35, 2, 2.5, 2.51, 3];
      const ids = times.map((seconds) => look(tracker, seconds, person(60 * seconds)).trackIds[0]);
      expect(new Set(ids).size).toBe(1);
      expect(tracker.predict(at(3.5))[0]!.x).toBeCloseTo(210, -1);
    });

    it('takes two frames of one time', () => {
      const tracker = create();
      const id = walk(tracker, 10, 10, 0, 50);
      expect(look(tracker, 0.9, person(45)).trackIds).toEqual([id]);
      expect(look(tracker, 1, person(50)).trackIds).toEqual([id]);
      expect(tracker.predict(at(1))[0]!.x).toBeCloseTo(50, 0);
    });

    it('begins anew when the time goes back, with other ids', () => {
      const tracker = create();
      const id = walk(tracker, 10, 10, 0, 0);
      const { trackIds, tracks, ended } = look(tracker, 0.5, person(0));
      expect(ended).toMatchObject([{ trackId: id, lastSeenNs: at(0.9), detections: 10 }]);
      expect(trackIds).toEqual([id + 1n]);
      expect(tracks).toMatchObject([{ trackId: id + 1n, state: 'active', ageMs: 0 }]);
    });

    it('does with times of a clock that began in 1970', () => {
      const tracker = create();
      const start = 1_790_000_000_000_000_000n;
      const ids = Array.from({ length: 20 }, (_, frame) => {
        const timeNs = start + BigInt(frame) * 33_333_333n;
        return tracker.update({ detections: [person(frame * 5)], timeNs }).trackIds[0];
      });
      expect(new Set(ids).size).toBe(1);
      expect(tracker.predict(start + 20n * 33_333_333n)[0]!.x).toBeCloseTo(100, 0);
    });
  });

  it('gives no id twice, over resets and epochs', () => {
    const ids = new Set<bigint>();
    let given = 0;
    for (const epoch of [0, 1, 2, 2 ** 32 - 1]) {
      const tracker = create({}, epoch);
      for (let round = 0; round < 5; round++) {
        const detections = Array.from({ length: 20 }, (_, index) => person(60 * index));
        for (const id of look(tracker, 0, ...detections).trackIds) {
          if (id === null) continue;
          ids.add(id);
          given += 1;
          expect(id >> 32n).toBe(BigInt(epoch));
          expect(BigInt.asUintN(64, id)).toBe(id);
        }
        tracker.reset();
      }
    }
    expect(given).toBe(400);
    expect(ids.size).toBe(given);
  });

  it('keeps 50 walkers of random ways apart, each with one id', () => {
    const tracker = create();
    const lanes = Array.from({ length: 50 }, (_, lane) => ({ y: 30 * lane, speed: 20 + ((lane * 37) % 90), from: (lane * 53) % 200 }));
    const ids = lanes.map(() => new Set<bigint | null>());
    for (let frame = 0; frame < 60; frame++) {
      const order = lanes.map((_, lane) => (lane * 7 + frame) % 50);
      const detections = order.map((lane) => {
        const { y, speed, from } = lanes[lane]!;
        // 30 high and 30 apart: neighbours touch when they jitter.
        return { x: from + (speed * frame) / 30, y: y + Math.sin(frame + lane), width: 40, height: 29, confidence: 0.9, classId: 0 };
      });
      const { trackIds } = look(tracker, frame / 30, ...detections);
      for (const [index, lane] of order.entries()) ids[lane]!.add(trackIds[index]!);
    }
    expect(ids.map((each) => each.size)).toEqual(lanes.map(() => 1));
  });
});

describe('oc_sort tracker', () => {
  const create = (options: Partial<Extract<TrackerOptions, { kind: 'oc_sort' }>> = {}): Tracker =>
    createTracker(EPOCH, { kind: 'oc_sort', ...options });

  it('prefers the detection that lies in the direction of the motion', () => {
    // Two detections around the expected place: the one behind is a little nearer.
    const show = (inertia: number): number => {
      const tracker = create({ inertia });
      const id = walk(tracker, 11, 10, 0, 100);
      const { trackIds } = look(tracker, 1.1, person(92), person(129));
      return trackIds.indexOf(id);
    };
    expect(show(0)).toBe(0);
    expect(show(1)).toBe(1);
  });

  it('looks where an object was last seen, for a while', () => {
    const show = (recoveryMs: number): bigint | null => {
      const tracker = create({ recoveryMs });
      walk(tracker, 16, 10, 0, 250);
      // It stops at once behind a pillar: its expected place has gone on by two widths.
      for (const seconds of [1.6, 1.7, 1.8]) look(tracker, seconds);
      return look(tracker, 1.9, person(375)).trackIds[0] ?? null;
    };
    expect(show(500)).toBe((7n << 32n) | 1n);
    expect(show(0)).toBeNull();
  });

  it('corrects the way of one that comes back along the line between both sightings', () => {
    const xAfter = (kind: TrackerOptions['kind']): number => {
      const tracker = createTracker(EPOCH, { kind });
      walk(tracker, 16, 10, 0, 40);
      for (const seconds of [1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2]) look(tracker, seconds);
      // It has stood still all the while.
      expect(look(tracker, 2.3, person(60)).trackIds).toEqual([(7n << 32n) | 1n]);
      return tracker.predict(at(2.8))[0]!.x;
    };
    expect(Math.abs(xAfter('oc_sort') - 60)).toBeLessThan(Math.abs(xAfter('byte') - 60));
    expect(xAfter('oc_sort')).toBeCloseTo(60, -1);
  });
});

describe('createTracker', () => {
  it.each([
    [{ kind: 'byte', highConfidence: 1.2 }, 'highConfidence 1.2: expected 0.1 to 1'],
    [{ kind: 'byte', highConfidence: 0.3, lowConfidence: 0.4 }, 'highConfidence 0.3: expected 0.4 to 1'],
    [{ kind: 'byte', newConfidence: 0.5 }, 'newConfidence 0.5: expected 0.6 to 1'],
    [{ kind: 'byte', minOverlap: -1 }, 'minOverlap -1: expected 0 to 1'],
    [{ kind: 'oc_sort', lostMs: Number.NaN }, 'lostMs NaN: expected 0 or more'],
    [{ kind: 'oc_sort', confirmHits: 1.5 }, 'confirmHits 1.5: expected 1 or more'],
    [{ kind: 'oc_sort', inertia: 2 }, 'inertia 2: expected 0 to 1'],
    [{ kind: 'oc_sort', directionMs: -1 }, 'directionMs -1: expected 0 or more'],
  ] satisfies [TrackerOptions, string][])('refuses %o', (options, message) => {
    expect(() => createTracker(EPOCH, options)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: `tracker: ${message}` }));
  });

  it.each([-1, 0.5, 2 ** 32, Number.NaN])('refuses the epoch %d', (epoch) => {
    expect(() => createTracker(epoch, { kind: 'byte' })).toThrow(/epoch/);
  });

  it('asks for more to begin a track when more is asked for to keep one', () => {
    const tracker = createTracker(EPOCH, { kind: 'byte', highConfidence: 0.85, confirmHits: 1 });
    expect(look(tracker, 0, person(0, 100, 0.94), person(200, 100, 0.96)).trackIds).toEqual([null, (7n << 32n) | 1n]);
  });
});
