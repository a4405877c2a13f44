import type { BusConsumerOptions, BusServerOptions, RouteGroup } from '../../native/contract.js';

/** What a test of the bus does not care about. */
export const SERVER = {
  allowUids: [],
  allowGids: [],
  token: '',
  leaseDeadlineMs: 0,
} satisfies Partial<BusServerOptions>;

/** A consumer that takes what it can get. */
export const CONSUMER = { hold: 1024, minHold: 1, token: '' } satisfies Partial<BusConsumerOptions>;

/** Groups that may hold one frame each, or as many as said. */
export const groups = (...names: (string | [name: string, hold: number])[]): RouteGroup[] =>
  names.map((name) => (typeof name === 'string' ? { name, hold: 1 } : { name: name[0], hold: name[1] }));
