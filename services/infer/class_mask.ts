import type { FrameRegion, PreprocessGeometry } from '../../native/contract.js';
import type { ClassMap } from './findings.js';

/** Where in a frame one class is. */
export interface ClassMask {
  /** Channel of the model. */
  classIndex: number;
  /** Size of the mask in cells. */
  width: number;
  height: number;
  /** What the mask lies over; it may stand out of the frame by less than a cell. */
  area: FrameRegion;
  /** Cells, row by row from the top left: so many without the class, so many with it, and so on; the rest is without. */
  runs: number[];
  /** Number of cells with the class. */
  cells: number;
}

/** What of a frame the network saw, and how it was put into the network's picture. */
export interface MaskedPicture {
  geometry: PreprocessGeometry;
  shown: FrameRegion;
  /** Network pixels. */
  inputWidth: number;
  inputHeight: number;
}

/**
 * Cuts the padding off a class map and writes it as one mask a class, in the
 * order of the channels.
 *
 * @param wanted whether a class is to be reported
 */
export function toClassMasks(map: ClassMap, picture: MaskedPicture, wanted: (classIndex: number) => boolean): ClassMask[] {
  const { geometry, shown } = picture;
  const x = cut(map.width, picture.inputWidth, geometry.offsetX, geometry.scaleX, shown.x, shown.width);
  const y = cut(map.height, picture.inputHeight, geometry.offsetY, geometry.scaleY, shown.y, shown.height);
  const size = { width: x.to - x.from, height: y.to - y.from };
  const area = { x: x.start, y: y.start, width: x.length, height: y.length };
  const found = new Map<number, Run>();
  for (let row = y.from, at = 0; row < y.to; row++) {
    const end = row * map.width + x.to;
    for (let cell = row * map.width + x.from; cell < end; ) {
      const classIndex = map.classes[cell] as number;
      let next = cell + 1;
      while (next < end && map.classes[next] === classIndex) next++;
      if (wanted(classIndex)) addRun(found, classIndex, at, next - cell);
      at += next - cell;
      cell = next;
    }
  }
  return [...found]
    .toSorted(([a], [b]) => a - b)
    .map(([classIndex, { runs, cells }]) => ({ classIndex, ...size, area, runs, cells }));
}

interface Run {
  runs: number[];
  cells: number;
  /** Cell after the last run. */
  end: number;
}

function addRun(found: Map<number, Run>, classIndex: number, at: number, length: number): void {
  const run = found.get(classIndex) ?? { runs: [], cells: 0, end: 0 };
  found.set(classIndex, run);
  // A run that goes on in the next row is one run.
  if (run.runs.length > 0 && run.end === at) run.runs[run.runs.length - 1] = (run.runs.at(-1) ?? 0) + length;
  else run.runs.push(at - run.end, length);
  run.cells += length;
  run.end = at + length;
}

/** Cells of an axis that the picture covers, and where they lie in the frame. */
function cut(
  cells: number,
  input: number,
  offset: number,
  scale: number,
  shown: number,
  length: number,
): { from: number; to: number; start: number; length: number } {
  const cell = input / cells;
  // What is thinner than a thousandth of a cell comes from rounding.
  const from = Math.max(0, Math.floor((offset + shown * scale) / cell + 1e-3));
  const to = Math.max(from, Math.min(cells, Math.ceil((offset + (shown + length) * scale) / cell - 1e-3)));
  return { from, to, start: (from * cell - offset) / scale, length: ((to - from) * cell) / scale };
}
