import { Assignment, UNASSIGNED } from '../../services/sink/tracking/assignment.js';
import type { Frames, IdentifiedBox, MotDetection } from './mot_sequence.js';
import { intersectionOverUnion, type Box } from './recall.js';

/** SORT's settings, as the expectation files have them. */
const MAX_AGE = 1;
const MIN_HITS = 3;
const MIN_IOU = 0.3;

/** A Kalman filter of one value; without a rate it is a random walk. */
class ScalarFilter {
  value: number;
  rate = 0;
  #pp = 10;
  #pv = 0;
  #vv: number;
  readonly #noise: { readonly process: number; readonly rate: number; readonly measurement: number };

  constructor(value: number, measurement: number, rate: number | null) {
    this.value = value;
    this.#vv = rate === null ? 0 : 10_000;
    this.#noise = { process: 1, rate: rate ?? 0, measurement };
  }

  predict(): void {
    this.value += this.rate;
    this.#pp += 2 * this.#pv + this.#vv + this.#noise.process;
    this.#pv += this.#vv;
    this.#vv += this.#noise.rate;
  }

  update(measured: number): void {
    const error = measured - this.value;
    const inverse = 1 / (this.#pp + this.#noise.measurement);
    this.value += this.#pp * inverse * error;
    this.rate += this.#pv * inverse * error;
    this.#vv -= this.#pv * this.#pv * inverse;
    this.#pv *= 1 - this.#pp * inverse;
    this.#pp *= 1 - this.#pp * inverse;
  }
}

/** A target of SORT: centre and area move at constant rates, the aspect ratio stays. */
class Target {
  readonly id: number;
  hitsInRow = 0;
  misses = 0;
  readonly #u: ScalarFilter;
  readonly #v: ScalarFilter;
  readonly #area: ScalarFilter;
  readonly #ratio: ScalarFilter;

  constructor(id: number, box: Box) {
    this.id = id;
    this.#u = new ScalarFilter(box.x + box.width / 2, 1, 0.01);
    this.#v = new ScalarFilter(box.y + box.height / 2, 1, 0.01);
    this.#area = new ScalarFilter(box.width * box.height, 10, 0.0001);
    this.#ratio = new ScalarFilter(box.width / box.height, 10, null);
  }

  predict(): Box {
    if (this.#area.value + this.#area.rate <= 0) this.#area.rate = 0;
    for (const filter of [this.#u, this.#v, this.#area, this.#ratio]) filter.predict();
    if (this.misses > 0) this.hitsInRow = 0;
    this.misses += 1;
    return this.box;
  }

  update(box: Box): void {
    this.misses = 0;
    this.hitsInRow += 1;
    this.#u.update(box.x + box.width / 2);
    this.#v.update(box.y + box.height / 2);
    this.#area.update(box.width * box.height);
    this.#ratio.update(box.width / box.height);
  }

  get box(): Box {
    const width = Math.sqrt(this.#area.value * this.#ratio.value);
    const height = this.#area.value / width;
    return { x: this.#u.value - width / 2, y: this.#v.value - height / 2, width, height };
  }
}

/**
 * SORT, written from its paper (Bewley 2016) and its published settings: what the
 * project's trackers are held against, and a tracker of known score to check
 * the evaluator with.
 */
export function sortTracks(detections: Frames<MotDetection>): IdentifiedBox[][] {
  const assignment = new Assignment();
  let targets: Target[] = [];
  let nextId = 1;
  return detections.map((boxes, frame) => {
    const predicted = targets.map((target) => target.predict());
    const costs = Float64Array.from(predicted.flatMap((box) => boxes.map((other) => -intersectionOverUnion(box, other))));
    const columnOf = assignment.solve(costs, targets.length, boxes.length, 0);
    const taken = new Set<number>();
    for (const [row, column] of columnOf.entries()) {
      if (column === UNASSIGNED || intersectionOverUnion(predicted[row]!, boxes[column]!) < MIN_IOU) continue;
      targets[row]!.update(boxes[column]!);
      taken.add(column);
    }
    for (const [column, box] of boxes.entries()) {
      if (!taken.has(column)) targets.push(new Target(nextId++, box));
    }
    targets = targets.filter((target) => target.misses <= MAX_AGE);
    return targets
      .filter((target) => target.misses === 0 && (target.hitsInRow >= MIN_HITS || frame < MIN_HITS))
      .map((target) => ({ id: target.id, ...toHundredths(target.box) }));
  });
}

/** Boxes as tracker files hold them. */
function toHundredths({ x, y, width, height }: Box): Box {
  const round = (value: number): number => Number(value.toFixed(2));
  return { x: round(x), y: round(y), width: round(width), height: round(height) };
}
