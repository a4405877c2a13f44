/** Index of the greatest of `count` numbers from `from` on; of equal ones the first. */
export function bestClass(numbers: Float32Array, from: number, count: number): number {
  let best = 0;
  let most = numbers[from] as number;
  for (let index = 1; index < count; index++) {
    const number = numbers[from + index] as number;
    if (number <= most) continue;
    most = number;
    best = index;
  }
  return best;
}
