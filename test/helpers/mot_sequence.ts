import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Box } from './recall.js';

/** A box that a ground truth or a tracker gives an identity. */
export interface IdentifiedBox extends Box {
  id: number;
}

/** A detection of a MOTChallenge file. */
export interface MotDetection extends Box {
  confidence: number;
}

/** What is in each frame of a sequence; entry 0 is frame 1 of the files. */
export type Frames<T> = readonly (readonly T[])[];

export interface MotSequence {
  /** Pictures a second. */
  frameRate: number;
  /** Size of the pictures in pixels. */
  width: number;
  height: number;
  /** Boxes that count; those that are to be ignored are not in it. */
  truth: Frames<IdentifiedBox>;
}

/** Reads seqinfo.ini and gt/gt.txt of a MOTChallenge 2015 sequence. */
export function readMotSequence(folder: string): MotSequence {
  const info = readFileSync(path.join(folder, 'seqinfo.ini'), 'utf8');
  const numberOf = (key: string): number => Number(new RegExp(`^${key}=(\\d+)`, 'm').exec(info)?.[1]);
  const length = numberOf('seqLength');
  const truth = readRows(path.join(folder, 'gt', 'gt.txt'), length, ([id = 0, x = 0, y = 0, width = 0, height = 0, counts = 0]) =>
    counts === 0 ? null : { id, x, y, width, height },
  );
  return { frameRate: numberOf('frameRate'), width: numberOf('imWidth'), height: numberOf('imHeight'), truth };
}

/** Reads detections, `frame,-1,x,y,width,height,confidence,…`. */
export function readMotDetections(file: string, length: number): Frames<MotDetection> {
  return readRows(file, length, ([, x = 0, y = 0, width = 0, height = 0, confidence = 0]) => ({ x, y, width, height, confidence }));
}

function readRows<T>(file: string, length: number, toBox: (numbers: number[]) => T | null): T[][] {
  const frames: T[][] = Array.from({ length }, () => []);
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '') continue;
    const [frame = 0, ...numbers] = line.split(',').map(Number);
    const box = toBox(numbers);
    if (box !== null) frames[frame - 1]?.push(box);
  }
  return frames;
}

/** Numbers of a line of an expectation file, by their names there. */
export type ExpectedScore = ReadonlyMap<string, number>;

/** Reads lines `SEQUENCE  NAME value NAME value …`; `#` begins a comment. */
export function readExpectedScores(file: string): Map<string, ExpectedScore> {
  const scores = new Map<string, ExpectedScore>();
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [sequence, ...words] = line.split(/\s+/);
    if (sequence === undefined || sequence === '' || sequence === '#') continue;
    const score = new Map<string, number>();
    for (let at = 0; at + 1 < words.length; at += 2) score.set(words[at] ?? '', Number(words[at + 1]));
    scores.set(sequence, score);
  }
  return scores;
}
