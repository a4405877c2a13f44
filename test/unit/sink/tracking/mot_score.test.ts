import { describe, expect, it } from 'vitest';
import { motScore } from '../../../helpers/mot_score.js';
import type { IdentifiedBox } from '../../../helpers/mot_sequence.js';

/** A box 10 × 10 of an identity. */
const box = (id: number, x = 0, y = 0): IdentifiedBox => ({ id, x, y, width: 10, height: 10 });
/** The same boxes in a number of frames. */
const still = (frames: number, ...boxes: IdentifiedBox[]): IdentifiedBox[][] => Array.from({ length: frames }, () => boxes);

describe('motScore', () => {
  it('is full for the truth itself, under any names', () => {
    const truth = still(5, box(1), box(2, 50));
    expect(motScore(truth, still(5, box(9, 50), box(4)))).toEqual({
      ...{ MOTA: 100, MOTP: 100, IDF1: 100, HOTA: 100, TP: 10, FP: 0, FN: 0, IDSW: 0, Frag: 0 },
      ...{ MT: 2, PT: 0, ML: 0, Rcll: 100, Prcn: 100, IDTP: 10, IDFP: 0, IDFN: 0 },
    });
  });

  it('counts what is missed and what is not there', () => {
    const score = motScore(still(4, box(1), box(2, 50)), still(4, box(1), box(3, 90)));
    expect(score).toMatchObject({ TP: 4, FP: 4, FN: 4, IDSW: 0, MT: 1, PT: 0, ML: 1, MOTA: 0, Rcll: 50, Prcn: 50, IDF1: 50 });
    expect(motScore(still(4, box(1)), still(4))).toMatchObject({ MOTA: 0, FN: 4, FP: 0, IDF1: 0, HOTA: 0, MOTP: 0 });
    expect(motScore(still(4), still(4, box(1)))).toMatchObject({ TP: 0, FN: 0, FP: 4, IDF1: 0 });
  });

  it('counts a change of identity once, and splits what belongs together', () => {
    const score = motScore(still(10, box(1)), [...still(6, box(1)), ...still(4, box(2))]);
    expect(score).toMatchObject({ TP: 10, IDSW: 1, Frag: 0, MOTA: 90, IDTP: 6, IDFP: 4, IDFN: 4, IDF1: 60 });
    // Association of the first six frames 6 / 10, of the others 4 / 10; detection is perfect.
    expect(score.HOTA).toBeCloseTo(100 * Math.sqrt((6 * 0.6 + 4 * 0.4) / 10), 9);
  });

  it('counts a gap as a fragment, and a return under another name as a change', () => {
    const found = [...still(4, box(1)), ...still(2), ...still(4, box(1))];
    // A frame in which nothing at all was found is not looked at.
    expect(motScore(still(10, box(1)), found)).toMatchObject({ TP: 8, FN: 2, Frag: 0, IDSW: 0, PT: 1 });
    const others = [...still(4, box(1)), ...still(2, box(8, 90)), ...still(4, box(7))];
    expect(motScore(still(10, box(1)), others)).toMatchObject({ TP: 8, FN: 2, FP: 2, Frag: 1, IDSW: 1, MOTA: 50 });
  });

  it('keeps a pair that is good enough although another overlaps more', () => {
    const found = [...still(2, box(1)), ...still(2, box(1, 3), box(2))];
    expect(motScore(still(4, box(1)), found)).toMatchObject({ TP: 4, FP: 2, IDSW: 0, MOTA: 50 });
  });

  it('needs an overlap of a half', () => {
    // 10 × 10 boxes that are 3 apart share 70 of 130, 4 apart 60 of 140.
    expect(motScore(still(1, box(1)), still(1, box(1, 3)))).toMatchObject({ TP: 1 });
    const apart = motScore(still(1, box(1)), still(1, box(1, 4)));
    expect(apart).toMatchObject({ TP: 0, FP: 1, FN: 1, IDF1: 0, MOTA: -100 });
    // HOTA counts it from 0.05 to 0.4 of 0.4286: 8 of 19 thresholds.
    expect(apart.HOTA).toBeCloseTo(800 / 19, 9);
  });

  it('refuses an identity that is twice in a frame', () => {
    expect(() => motScore(still(1, box(1)), still(1, box(3), box(3, 50)))).toThrow(/twice/);
  });
});
