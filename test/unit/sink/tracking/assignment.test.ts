import { describe, expect, it } from 'vitest';
import { Assignment, UNASSIGNED } from '../../../../services/sink/tracking/assignment.js';

/** A small deterministic generator (mulberry32), so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Least sum of what pairs are below the limit, over all ways to pair. */
function bestGain(costs: Float64Array, rows: number, columns: number, limit: number, row = 0, taken = 0): number {
  if (row === rows) return 0;
  let best = bestGain(costs, rows, columns, limit, row + 1, taken);
  for (let column = 0; column < columns; column++) {
    const cost = costs[row * columns + column]!;
    if ((taken & (1 << column)) !== 0 || !(cost < limit)) continue;
    best = Math.min(best, cost - limit + bestGain(costs, rows, columns, limit, row + 1, taken | (1 << column)));
  }
  return best;
}

function gainOf(costs: Float64Array, columns: number, limit: number, columnOf: Int32Array): number {
  return columnOf.reduce((sum, column, row) => (column === UNASSIGNED ? sum : sum + costs[row * columns + column]! - limit), 0);
}

const solve = (costs: number[][], limit: number) =>
  [...new Assignment().solve(Float64Array.from(costs.flat()), costs.length, costs[0]?.length ?? 0, limit)];

describe('Assignment', () => {
  it('takes the pairs that cost least together, not the cheapest one first', () => {
    expect(
      solve(
        [
          [1, 2],
          [2, 9],
        ],
        10,
      ),
    ).toEqual([1, 0]);
  });

  it('leaves pairs unmade that are not below the limit', () => {
    expect(solve([[0.8]], 0.8)).toEqual([UNASSIGNED]);
    expect(solve([[0.79]], 0.8)).toEqual([0]);
    // 0.1 + 0.9 costs more than 0.3 and one pair not made at 0.6; filtering afterwards would lose the good pair.
    expect(
      solve(
        [
          [0.3, 0.9],
          [0.1, Infinity],
        ],
        0.6,
      ),
    ).toEqual([UNASSIGNED, 0]);
  });

  it('never makes a pair that is forbidden', () => {
    expect(solve([[Infinity, Number.NaN]], 1)).toEqual([UNASSIGNED]);
    expect(
      solve(
        [
          [Infinity, 0.2],
          [Infinity, 0.1],
        ],
        1,
      ),
    ).toEqual([UNASSIGNED, 1]);
  });

  it('does with sides of any length', () => {
    expect(solve([[5, 1, 3]], 10)).toEqual([1]);
    expect(solve([[5], [1], [3]], 10)).toEqual([UNASSIGNED, 0, UNASSIGNED]);
    const assignment = new Assignment();
    expect([...assignment.solve(new Float64Array(0), 0, 3, 1)]).toEqual([]);
    expect([...assignment.solve(new Float64Array(0), 2, 0, 1)]).toEqual([UNASSIGNED, UNASSIGNED]);
  });

  it('finds the best of all ways to pair, with one object for all problems (3,000 random ones)', () => {
    const assignment = new Assignment();
    for (let seed = 0; seed < 3000; seed++) {
      const next = random(seed);
      const rows = Math.floor(next() * 7);
      const columns = Math.floor(next() * 7);
      const limit = next() * 4 - 2;
      // Of few values there are ties.
      const grain = next() < 0.5 ? 4 : 1e6;
      const costs = Float64Array.from({ length: rows * columns }, () =>
        next() < 0.2 ? Infinity : Math.round((next() * 4 - 2) * grain) / grain,
      );
      const columnOf = assignment.solve(costs, rows, columns, limit);
      const made = [...columnOf].filter((column) => column !== UNASSIGNED);
      expect(new Set(made).size, `seed ${seed}: a column twice`).toBe(made.length);
      expect(gainOf(costs, columns, limit, columnOf), `seed ${seed}`).toBeCloseTo(bestGain(costs, rows, columns, limit), 9);
    }
  });

  it('recovers a hidden assignment of 300', () => {
    const next = random(7);
    const size = 300;
    const hidden = Array.from({ length: size }, (_, row) => row).sort(() => next() - 0.5);
    const costs = Float64Array.from({ length: size * size }, () => 1 + next());
    for (const [row, column] of hidden.entries()) costs[row * size + column] = next();
    expect([...new Assignment().solve(costs, size, size, 3)]).toEqual(hidden);
  });
});
