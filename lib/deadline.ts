import { FramebusError } from './errors.js';
import { formatDuration } from './config/duration.js';

/** Waits for a promise at most so long. Throws DEADLINE naming what was waited for. */
export async function withDeadline<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new FramebusError('DEADLINE', `${what}: not done within ${formatDuration(ms)}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
