import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { StreamTracking } from '../../services/sink/stream_tracking.js';
import { createTracker, type TrackerOptions } from '../../services/sink/tracking/create_tracker.js';
import type { TrackedBox } from '../../services/sink/tracking/tracker.js';
import { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
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

/** What somebody reads in the records of a stream that reports detections from a confidence on, and shows its tracker the weak ones or not. */
function readRecords({ sequence, detections }: Trial, kind: 'byte' | 'oc_sort', minConfidence: number, seesWeak = true): Detection[][] {
  const tracking = new StreamTracking({ kind, ...DEFAULTS }, 1, null);
  const { width, height, frameRate } = sequence;
  return detections.map((boxes, frame) => {
    const all = boxes.map(({ confidence, ...box }) => Detection.fromPartial({ box, confidence, label: 'person' }));
    const weakDetections = seesWeak ? all.filter(({ confidence }) => confidence < minConfidence) : [];
    const result = { status: InferenceStatus.INFERENCE_STATUS_INFERRED, detections: all.filter(({ confidence }) => confidence >= minConfidence), weakDetections };
    const captureTime = { unixNs: BigInt(Math.round((frame * 1e9) / frameRate)) };
    return tracking.next(result, FrameDescriptor.fromPartial({ format: { width, height }, captureTime })).detections;
  });
}

const boxesOf = (records: readonly Detection[][], name: 'box' | 'trackBox'): IdentifiedBox[][] =>
  records.map((detections) =>
    detections.flatMap(({ trackId, [name]: box }) => (trackId === 0n || box === undefined ? [] : [{ id: Number(trackId), ...box }])),
  );

const toIdentified = ({ trackId, x, y, width, height }: TrackedBox): IdentifiedBox => ({ id: Number(trackId), x, y, width, height });

/** As framebus.example.yaml has them. */
const DEFAULTS = { highConfidence: 0.6, lowConfidence: 0.1, newConfidence: null, minOverlap: null, inertia: 0.2, lostMs: 2_000, confirmHits: 3 };

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

    it.each([
      ['the public detections', publicTrials, 0],
      ['YOLOX-nano’s detections', yoloxTrials, YOLOX_CONFIDENCE],
    ] as const)('is as good for who reads track_box in records, on %s', (_, trialsOf, minConfidence) => {
      const trials = trialsOf();
      const records = trials.map((trial) => readRecords(trial, kind, minConfidence));
      const scoresOf = (name: 'box' | 'trackBox'): MotScore[] => trials.map(({ sequence }, index) => motScore(sequence.truth, boxesOf(records[index]!, name)));
      const [scores, plain] = [scoresOf('trackBox'), scoresOf('box')];
      for (const [index, { name }] of trials.entries()) {
        for (const [field, score] of [['track_box', scores[index]!], ['box', plain[index]!]] as const) {
          console.log(`${kind} ${name}, ${field} of records: MOTA ${score.MOTA.toFixed(1)} IDF1 ${score.IDF1.toFixed(1)} HOTA ${score.HOTA.toFixed(1)}`);
        }
      }
      expect(lead(trials, scores, 'MOTA')).toBeGreaterThan(0);
      expect(lead(trials, scores, 'IDF1')).toBeGreaterThanOrEqual(8);
    });

    it('finds more of who is known already where infer reports weak detections, too', () => {
      const trials = yoloxTrials();
      const scoresOf = (seesWeak: boolean): MotScore[] =>
        trials.map((trial) => motScore(trial.sequence.truth, boxesOf(readRecords(trial, kind, DEFAULTS.highConfidence, seesWeak), 'trackBox')));
      const [seen, unseen] = [scoresOf(true), scoresOf(false)];
      for (const name of ['MOTA', 'IDF1', 'HOTA'] as const) {
        const [withWeak, without] = [seen, unseen].map((scores) => mean(scores.map((score) => score[name])));
        console.log(`${kind}, detections from ${DEFAULTS.highConfidence}: ${name} ${withWeak!.toFixed(1)}, without weak ones ${without!.toFixed(1)}`);
        if (name === 'MOTA') expect(withWeak! - without!).toBeGreaterThan(0.2);
      }
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
