/** Frames over which the figures are taken; five come in a second. */
const FRAMES = 50;

/** A frame's way, and what each stage is, in words. */
export const STAGES = {
  capture: 'camera, network, decoder',
  dispatch: 'until a worker took it',
  batch: 'until its batch began',
  preprocess: 'preprocessing',
  engine: 'the model',
  decode: 'reading its outputs',
  refine: 'secondary models, sending',
  transport: 'to sink',
  reorder: 'waiting for earlier frames',
  tracking: 'tracking',
};

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

/** Where the time of a stream's latest frames went. */
export class Stages {
  /** @type {Map<string, number[]>} */
  #times = new Map();

  /** @param {Record<string, number>} stages milliseconds by stage, of one frame */
  add(stages) {
    for (const [name, ms] of Object.entries(stages)) {
      const times = this.#times.get(name) ?? [];
      times.push(ms);
      if (times.length > FRAMES) times.shift();
      this.#times.set(name, times);
    }
  }

  /**
   * By stage, in the order of the way: the median, and the largest, in milliseconds. `start` is
   * where its median begins when all are put in a row, `share` its part of them, both from 0 to 1.
   */
  rows() {
    const known = Object.keys(STAGES).filter((name) => this.#times.has(name));
    const medians = known.map((name) => median(this.#times.get(name)));
    const sum = medians.reduce((a, b) => a + b, 0) || 1;
    let before = 0;
    return known.map((name, i) => {
      const start = before / sum;
      before += medians[i];
      const most = Math.max(...this.#times.get(name));
      return { name, words: STAGES[name], medianMs: medians[i], mostMs: most, start, share: medians[i] / sum };
    });
  }
}
