/** Index of the greatest of `count` numbers from `from` on; of equal ones the first. */
export function bestClass(numbers: Float32Array, from: number, count: number): number {
  let best = 0;
  for (let index = 1; index < count; index++) {
    if ((numbers[from + index] as number) > (numbers[from + best] as number)) best = index;
  }
  return best;
}
