import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Asks again and again until the answer is neither undefined, null nor false,
 * and returns it. The deadline is a watchdog, not an expectation.
 */
export async function eventually<T>(
  what: string | (() => string),
  ask: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs = 25 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== null && answer !== false) {
        return answer as Exclude<T, undefined | null | false>;
      }
      last = answer;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const seen = last instanceof Error ? (last.stack ?? last.message) : String(last);
      const wanted = typeof what === 'string' ? what : what();
      throw new Error(`not within ${timeoutMs} ms: ${wanted}; last seen: ${seen}`);
    }
    await sleep(everyMs);
  }
}
