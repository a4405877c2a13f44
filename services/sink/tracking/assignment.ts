/** What `Assignment` has in the place of a partner that is not there. */
export const UNASSIGNED = -1;

/**
 * Linear assignment with a limit: pairs rows with columns, each at most once, so
 * that the sum of the pairs' costs and of `limit` for every pair that could have
 * been made but was not is least. A pair therefore costs less than the limit.
 *
 * Shortest augmenting paths (Jonker and Volgenant 1987), O(n³) at worst. The
 * buffers are kept: one object serves any number of problems, one at a time.
 */
export class Assignment {
  /** Potentials of rows and columns; index 0 is the search's own column. */
  #rowPotential = new Float64Array(0);
  #columnPotential = new Float64Array(0);
  /** Row that has a column, 1-based; 0 when none has it. */
  #rowOf = new Int32Array(0);
  /** Column before a column on the shortest path. */
  #previous = new Int32Array(0);
  /** Length of the shortest path to a column that is known so far. */
  #distance = new Float64Array(0);
  #visited = new Uint8Array(0);
  /** Costs as the search has them: none above 0, the shorter side in rows. */
  #reduced = new Float64Array(0);
  #columnOfRow = new Int32Array(0);

  /**
   * Column of each row, or `UNASSIGNED`; valid until the next call.
   *
   * @param costs row by row, `rows` × `columns`; `Infinity` and NaN forbid a pair
   * @param limit cost from which a pair is better not made; finite
   */
  solve(costs: Float64Array, rows: number, columns: number, limit: number): Int32Array {
    const transposed = rows > columns;
    const [short, long] = transposed ? [columns, rows] : [rows, columns];
    this.#reserve(short, long, rows);
    this.#reduce(costs, rows, columns, limit, transposed);
    for (let row = 1; row <= short; row++) this.#augment(row, long);
    const result = this.#columnOfRow.subarray(0, rows).fill(UNASSIGNED);
    for (let column = 1; column <= long; column++) {
      const row = this.#rowOf[column] as number;
      // At 0 both are as well off alone.
      if (row === 0 || (this.#reduced[(row - 1) * long + column - 1] as number) >= 0) continue;
      if (transposed) result[column - 1] = row - 1;
      else result[row - 1] = column - 1;
    }
    return result;
  }

  /**
   * Subtracts the limit and cuts at 0: then staying alone costs nothing, and
   * every row of the shorter side can be given a column.
   */
  #reduce(costs: Float64Array, rows: number, columns: number, limit: number, transposed: boolean): void {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const gain = (costs[row * columns + column] as number) - limit;
        this.#reduced[transposed ? column * rows + row : row * columns + column] = gain < 0 ? gain : 0;
      }
    }
  }

  /** Gives one more row a column, and other rows others where that is cheaper. */
  #augment(row: number, columns: number): void {
    const [rowOf, distance, visited] = [this.#rowOf, this.#distance, this.#visited];
    distance.fill(Infinity, 0, columns + 1);
    visited.fill(0, 0, columns + 1);
    rowOf[0] = row;
    let column = 0;
    do {
      visited[column] = 1;
      const { nearest, step } = this.#relax(rowOf[column] as number, column, columns);
      for (let other = 0; other <= columns; other++) {
        if (visited[other] === 1) {
          const holder = rowOf[other] as number;
          this.#rowPotential[holder] = (this.#rowPotential[holder] as number) + step;
          this.#columnPotential[other] = (this.#columnPotential[other] as number) - step;
        } else {
          distance[other] = (distance[other] as number) - step;
        }
      }
      column = nearest;
    } while (rowOf[column] !== 0);
    while (column !== 0) {
      const before = this.#previous[column] as number;
      rowOf[column] = rowOf[before] as number;
      column = before;
    }
  }

  /** Shortens the paths that go through a row; the nearest column that was not visited, and how far it is. */
  #relax(row: number, column: number, columns: number): { nearest: number; step: number } {
    const [distance, columnPotential] = [this.#distance, this.#columnPotential];
    const base = (row - 1) * columns - 1;
    const rowPotential = this.#rowPotential[row] as number;
    let step = Infinity;
    let nearest = 0;
    for (let other = 1; other <= columns; other++) {
      if (this.#visited[other] === 1) continue;
      const length = (this.#reduced[base + other] as number) - rowPotential - (columnPotential[other] as number);
      if (length < (distance[other] as number)) {
        distance[other] = length;
        this.#previous[other] = column;
      }
      if ((distance[other] as number) < step) {
        step = distance[other] as number;
        nearest = other;
      }
    }
    return { nearest, step };
  }

  #reserve(short: number, long: number, rows: number): void {
    if (this.#rowPotential.length <= short) this.#rowPotential = new Float64Array(2 * short + 1);
    if (this.#rowOf.length <= long) {
      const length = 2 * long + 1;
      this.#columnPotential = new Float64Array(length);
      this.#rowOf = new Int32Array(length);
      this.#previous = new Int32Array(length);
      this.#distance = new Float64Array(length);
      this.#visited = new Uint8Array(length);
    }
    if (this.#reduced.length < short * long) this.#reduced = new Float64Array(2 * short * long);
    if (this.#columnOfRow.length < rows) this.#columnOfRow = new Int32Array(2 * rows);
    this.#rowPotential.fill(0, 0, short + 1);
    this.#columnPotential.fill(0, 0, long + 1);
    this.#rowOf.fill(0, 0, long + 1);
  }
}
