const sleepMs = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls `step` with 0 … count − 1 at an even rate; what is late is made up for at once. */
export async function pace(
  count: number,
  perSecond: number,
  step: (index: number) => void | Promise<void>,
): Promise<void> {
  const startMs = performance.now();
  for (let index = 0; index < count; index++) {
    const waitMs = startMs + (index * 1000) / perSecond - performance.now();
    if (waitMs > 0) await sleepMs(Math.ceil(waitMs));
    const stepping = step(index);
    if (stepping !== undefined) await stepping;
  }
}
