import { Assignment, UNASSIGNED } from '../../services/sink/tracking/assignment.js';
import type { Frames, IdentifiedBox } from './mot_sequence.js';
import { intersectionOverUnion } from './recall.js';

/** A tracker's score as MOTChallenge has it; rates in percent. Names are those of the expectation files. */
export interface MotScore {
  MOTA: number;
  MOTP: number;
  IDF1: number;
  HOTA: number;
  TP: number;
  FP: number;
  FN: number;
  IDSW: number;
  Frag: number;
  MT: number;
  PT: number;
  ML: number;
  Rcll: number;
  Prcn: number;
  IDTP: number;
  IDFP: number;
  IDFN: number;
}

/** One frame with identities as indices, and the overlap of every pair. */
interface ScoredFrame {
  truth: readonly number[];
  found: readonly number[];
  /** Row by row, truth × found. */
  overlap: Float64Array;
}

/** Both sides of a sequence, with how often each identity is there. */
interface ScoredSequence {
  frames: readonly ScoredFrame[];
  truthCounts: readonly number[];
  foundCounts: readonly number[];
  truthBoxes: number;
  foundBoxes: number;
}

/** Overlap from which MOTA and IDF1 count a box as found. */
const MATCH = 0.5;
const EPSILON = Number.EPSILON;

/**
 * Scores a tracker's boxes against the truth, frame by frame: CLEAR MOT
 * (Bernardin 2008), identity (Ristani 2016) and HOTA (Luiten 2020), as
 * TrackEval counts them on MOTChallenge 2015.
 */
export function motScore(truth: Frames<IdentifiedBox>, found: Frames<IdentifiedBox>): MotScore {
  const sequence = toSequence(truth, found);
  return { ...clearScore(sequence), ...identityScore(sequence), HOTA: hota(sequence) };
}

function toSequence(truth: Frames<IdentifiedBox>, found: Frames<IdentifiedBox>): ScoredSequence {
  const [truthCounts, foundCounts] = [new IdentityCounts(), new IdentityCounts()];
  const frames = truth.map((boxes, at) => {
    const others = found[at] ?? [];
    const overlap = Float64Array.from(boxes.flatMap((box) => others.map((other) => intersectionOverUnion(box, other))));
    return { truth: truthCounts.count(boxes), found: foundCounts.count(others), overlap };
  });
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    frames,
    truthCounts: truthCounts.counts,
    foundCounts: foundCounts.counts,
    truthBoxes: sum(truthCounts.counts),
    foundBoxes: sum(foundCounts.counts),
  };
}

/** Numbers identities from 0 and counts their boxes. */
class IdentityCounts {
  readonly counts: number[] = [];
  readonly #indices = new Map<number, number>();

  count(boxes: readonly IdentifiedBox[]): number[] {
    const seen = boxes.map(({ id }) => {
      const index = this.#indices.get(id) ?? this.counts.length;
      this.#indices.set(id, index);
      this.counts[index] = (this.counts[index] ?? 0) + 1;
      return index;
    });
    if (new Set(seen).size !== seen.length) throw new Error('an identity is in a frame twice');
    return seen;
  }
}

const assignment = new Assignment();

/** Pairs with the greatest sum of scores; only pairs whose score is above 0. */
function bestPairs(scores: Float64Array, rows: number, columns: number): [row: number, column: number][] {
  const columnOf = assignment.solve(
    scores.map((score) => -score),
    rows,
    columns,
    0,
  );
  return [...columnOf].flatMap((column, row) => (column === UNASSIGNED ? [] : [[row, column] as [number, number]]));
}

/** What CLEAR MOT knows of one true identity. */
interface FollowedTruth {
  frames: number;
  matched: number;
  fragments: number;
  /** Who had it last, ever. */
  last: number | null;
  /** Who has it since the last frame that had both sides. */
  current: number | null;
}

function clearScore(sequence: ScoredSequence): Omit<MotScore, 'IDF1' | 'IDTP' | 'IDFP' | 'IDFN' | 'HOTA'> {
  const followed = sequence.truthCounts.map(
    (frames): FollowedTruth => ({ frames, matched: 0, fragments: 0, last: null, current: null }),
  );
  let [TP, IDSW, overlaps] = [0, 0, 0];
  for (const { truth, found, overlap } of sequence.frames) {
    if (truth.length === 0 || found.length === 0) continue;
    const scores = overlap.map((value, at) => {
      const kept = followed[truth[Math.floor(at / found.length)]!]!.current === found[at % found.length];
      return value < MATCH - EPSILON ? 0 : value + (kept ? 1000 : 0);
    });
    const before = followed.map((one) => one.current);
    for (const one of followed) one.current = null;
    for (const [row, column] of bestPairs(scores, truth.length, found.length)) {
      const one = followed[truth[row]!]!;
      const id = found[column]!;
      TP += 1;
      overlaps += overlap[row * found.length + column]!;
      if (one.last !== null && one.last !== id) IDSW += 1;
      if (before[truth[row]!] === null) one.fragments += 1;
      one.matched += 1;
      one.last = id;
      one.current = id;
    }
  }
  const FN = sequence.truthBoxes - TP;
  const FP = sequence.foundBoxes - TP;
  const share = followed.map((one) => one.matched / one.frames);
  const MT = share.filter((part) => part > 0.8).length;
  const PT = share.filter((part) => part >= 0.2).length - MT;
  return {
    MOTA: (100 * (TP - FP - IDSW)) / Math.max(1, sequence.truthBoxes),
    MOTP: (100 * overlaps) / Math.max(1, TP),
    ...{ TP, FP, FN, IDSW, MT, PT, ML: share.length - MT - PT },
    Frag: followed.reduce((total, one) => total + Math.max(0, one.fragments - 1), 0),
    Rcll: (100 * TP) / Math.max(1, sequence.truthBoxes),
    Prcn: (100 * TP) / Math.max(1, sequence.foundBoxes),
  };
}

function identityScore(sequence: ScoredSequence): Pick<MotScore, 'IDF1' | 'IDTP' | 'IDFP' | 'IDFN'> {
  const { truthCounts, foundCounts, truthBoxes, foundBoxes } = sequence;
  const common = sumOverFrames(sequence, ({ overlap }) => overlap.map((value) => (value >= MATCH ? 1 : 0)));
  let IDTP = 0;
  for (const [row, column] of bestPairs(common, truthCounts.length, foundCounts.length)) {
    IDTP += common[row * foundCounts.length + column]!;
  }
  return {
    IDF1: (200 * IDTP) / Math.max(1, truthBoxes + foundBoxes),
    ...{ IDTP, IDFP: foundBoxes - IDTP, IDFN: truthBoxes - IDTP },
  };
}

/** Adds up what frames say of their pairs, over pairs of identities: truth × found. */
function sumOverFrames(sequence: ScoredSequence, toPairs: (frame: ScoredFrame) => Float64Array): Float64Array {
  const columns = sequence.foundCounts.length;
  const sum = new Float64Array(sequence.truthCounts.length * columns);
  for (const frame of sequence.frames) {
    const pairs = toPairs(frame);
    for (const [at, value] of pairs.entries()) {
      const row = frame.truth[Math.floor(at / frame.found.length)]!;
      const to = row * columns + frame.found[at % frame.found.length]!;
      sum[to] = sum[to]! + value;
    }
  }
  return sum;
}

/** Mean over the overlaps 0.05, 0.10, … 0.95 from which a box counts as found. */
function hota(sequence: ScoredSequence): number {
  const columns = sequence.foundCounts.length;
  const union = (at: number, common: number): number =>
    sequence.truthCounts[Math.floor(at / columns)]! + sequence.foundCounts[at % columns]! - common;
  const alignment = sumOverFrames(sequence, shareOfOverlap).map((common, at) => common / union(at, common));
  const pairs = sequence.frames.map((frame) => {
    const { truth, found, overlap } = frame;
    const toPair = (at: number): number => truth[Math.floor(at / found.length)]! * columns + found[at % found.length]!;
    const scores = overlap.map((value, at) => value * alignment[toPair(at)]!);
    return bestPairs(scores, truth.length, found.length).map(([row, column]) => {
      const at = row * found.length + column;
      return { pair: toPair(at), overlap: overlap[at]! };
    });
  });
  const alphas = Array.from({ length: 19 }, (_, at) => 0.05 * (at + 1));
  const each = alphas.map((alpha) => {
    const matches = pairs.flat().filter((match) => match.overlap >= alpha - EPSILON);
    const counts = new Map<number, number>();
    for (const { pair } of matches) counts.set(pair, (counts.get(pair) ?? 0) + 1);
    const association = [...counts].reduce((total, [pair, count]) => total + (count * count) / union(pair, count), 0);
    const detection = matches.length / Math.max(1, sequence.truthBoxes + sequence.foundBoxes - matches.length);
    return Math.sqrt((detection * association) / Math.max(1, matches.length));
  });
  return (100 * each.reduce((total, value) => total + value, 0)) / alphas.length;
}

/** The overlap of each pair, divided by all overlap that its two boxes have. */
function shareOfOverlap({ truth, found, overlap }: ScoredFrame): Float64Array {
  const rows = truth.map((_, row) => found.reduce((total, __, column) => total + overlap[row * found.length + column]!, 0));
  const columns = found.map((_, column) => truth.reduce((total, __, row) => total + overlap[row * found.length + column]!, 0));
  return overlap.map((value, at) => {
    const all = rows[Math.floor(at / found.length)]! + columns[at % found.length]! - value;
    return all > EPSILON ? value / all : 0;
  });
}
