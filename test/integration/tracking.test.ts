import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createTracker, type TrackerOptions } from '../../services/sink/tracking/create_tracker.js';
import type { TrackedBox } from '../../services/sink/tracking/tracker.js';
import { hasTestData, TEST_DATA } from '../helpers/data.js';
import { motScore, type MotScore } from '../helpers/mot_score.js';
import {
  readExpectedScores,
  readMotDetections,
  readMotSequence,
  type Frames,
  type IdentifiedBox,
  type MotDetection,
  type MotSequence,
} from '../helpers/mot_sequence.js';
import { sortTracks } from '../helpers/mot_sort.js';

const FOLDER = 'tracking';
const PUBLIC = 'expected-SORT-public-detections.txt';
const YOLOX = 'expected-SORT-yolox416.txt';
/** SORT's scores on YOLOX's detections are of those from here on. */
const YOLOX_CONFIDENCE = 0.5;

const file = (...parts: string[]): string => path.join(TEST_DATA, FOLDER, ...parts);

/** A sequence with somebody's detections, and what SORT reaches on them. */
interface Trial {
  name: string;
  sequence: MotSequence;
  detections: Frames<MotDetection>;
  sort: ReadonlyMap<string, number>;
}

function readTrials(scores: string, detectionsOf: (sequence: string) => string): Trial[] {
  return [...readExpectedScores(file(scores))].map(([name, sort]) => {
    const sequence = readMotSequence(file(name));
    return { name, sequence, detections: readMotDetections(file(detectionsOf(name)), sequence.truth.length), sort };
  });
}

const publicTrials = (): Trial[] => readTrials(PUBLIC, (name) => path.join(name, 'det', 'det.txt'));
const yoloxTrials = (): Trial[] => readTrials(YOLOX, (name) => `${name}.yolox_nano_416.det.txt`);

/** What a tracker of ours makes of a trial; every nth frame is looked at, the others are filled in or left out. */
function track({ sequence, detections }: Trial, options: TrackerOptions, every = 1, isFilled = true): IdentifiedBox[][] {
  const tracker = createTracker(1, options);
  return detections.map((boxes, frame) => {
    const timeNs = BigInt(Math.round((frame * 1e9) / sequence.frameRate));
    if (frame % every !== 0) return isFilled ? tracker.predict(timeNs).map(toIdentified) : [];
    const { tracks } = tracker.update({ detections: boxes.map((box) => ({ ...box, classId: 0 })), timeNs });
    return tracks.filter((box) => box.state === 'active').map(toIdentified);
  });
}

const toIdentified = ({ trackId, x, y, width, height }: TrackedBox): IdentifiedBox => ({ id: Number(trackId), x, y, width, height });

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean lead over SORT, in points. */
function lead(trials: readonly Trial[], scores: readonly MotScore[], name: 'MOTA' | 'IDF1'): number {
  return mean(scores.map((score) => score[name])) - mean(trials.map((trial) => trial.sort.get(name)!));
}

describe.skipIf(!hasTestData(FOLDER))('tracking (needs the shared test data: tracking)', () => {
  describe('the evaluator, on the output of a tracker whose scores are known', () => {
    it.each([
      [PUBLIC, publicTrials, 0],
      [YOLOX, yoloxTrials, YOLOX_CONFIDENCE],
    ] as const)('reproduces every number of %s', (_, trials, minConfidence) => {
      for (const { name, sequence, detections, sort } of trials()) {
        const found = sortTracks(detections.map((boxes) => boxes.filter((box) => box.confidence >= minConfidence)));
        const score = motScore(sequence.truth, found);
        expect(sort.size).toBeGreaterThan(10);
        for (const [key, expected] of sort) {
          expect(Math.abs(score[key as keyof MotScore] - expected), `${name} ${key} ${expected}`).toBeLessThan(0.1);
        }
      }
    });
  });

  describe.each(['byte', 'oc_sort'] as const)('%s', (kind) => {
    it.each([
      ['the public detections', publicTrials],
      ['YOLOX-nano’s detections', yoloxTrials],
    ] as const)('is better than SORT on %s', (_, trialsOf) => {
      const trials = trialsOf();
      const scores = trials.map((trial) => motScore(trial.sequence.truth, track(trial, { kind })));
      for (const [index, { MOTA, IDF1, HOTA, IDSW }] of scores.entries()) {
        console.log(`${kind} ${trials[index]!.name}: MOTA ${MOTA.toFixed(1)} IDF1 ${IDF1.toFixed(1)} HOTA ${HOTA.toFixed(1)} IDSW ${IDSW}`);
      }
      expect(lead(trials, scores, 'MOTA')).toBeGreaterThan(0);
      expect(lead(trials, scores, 'IDF1')).toBeGreaterThanOrEqual(8);
    });

    it('fills in every second frame so that it counts', () => {
      const trials = publicTrials();
      const scoresOf = (isFilled: boolean): MotScore[] =>
        trials.map((trial) => motScore(trial.sequence.truth, track(trial, { kind }, 2, isFilled)));
      const [filled, left] = [scoresOf(true), scoresOf(false)];
      for (const name of ['MOTA', 'IDF1'] as const) {
        const [withBoxes, without] = [filled, left].map((scores) => mean(scores.map((score) => score[name])));
        console.log(`${kind}, every second frame: ${name} ${withBoxes!.toFixed(1)}, not filled in ${without!.toFixed(1)}`);
        expect(withBoxes! - without!, name).toBeGreaterThan(8);
      }
    });
  });
});
