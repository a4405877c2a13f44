import { pino } from 'pino';
import type { Log } from '../../lib/log.js';

/** A logger whose lines a test can look at. */
export interface CapturedLog {
  log: Log;
  /** Every line so far. */
  lines: Record<string, unknown>[];
  /** The messages of all lines, one a line. */
  text: () => string;
}

export function captureLog(level = 'trace'): CapturedLog {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as Record<string, unknown>);
  };
  return {
    log: pino({ level }, { write }),
    lines,
    text: () => lines.map((line) => String(line['msg'])).join('\n'),
  };
}
