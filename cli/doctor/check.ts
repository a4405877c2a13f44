/** How a thing is: there; not there and not needed; there and doubtful; needed and not there. */
export type CheckState = 'ok' | 'absent' | 'warning' | 'missing';

/** One thing that was looked at. */
export interface Check {
  group: string;
  name: string;
  state: CheckState;
  /** What was found. */
  found: string;
  /** What to do; empty when there is nothing to do. */
  remedy: string;
}

export const ok = (group: string, name: string, found: string): Check => ({ group, name, state: 'ok', found, remedy: '' });
export const absent = (group: string, name: string, found: string, remedy = ''): Check => ({ group, name, state: 'absent', found, remedy });
export const warning = (group: string, name: string, found: string, remedy: string): Check => ({ group, name, state: 'warning', found, remedy });
export const missing = (group: string, name: string, found: string, remedy: string): Check => ({ group, name, state: 'missing', found, remedy });
