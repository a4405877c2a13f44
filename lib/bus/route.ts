import type { RouteGroup } from '../../native/contract.js';

/** Consumer groups on a stream's route, in the order in which they take its frames. */
export const INFER_GROUP = 'infer';
export const SINK_GROUP = 'sink';

/** What a member of a group on the route asks a pool for: all that its group has. */
export const GROUP_SHARE = { hold: 1024, minHold: 1 } as const;

/** From here on a pool is large enough to spare frames for consumers outside the route. */
const SPARING_SLOTS = 8;
const SPARED_SHARE = 1 / 4;

export interface RouteOptions {
  /** Frames of the stream that consumers may hold together. */
  slots: number;
  mode: 'latest' | 'lossless';
  /** Frames of the stream that workers may hold at once (latest). */
  inFlight: number;
}

/**
 * How the slots of a stream are divided: the workers' share, sink's share, and the rest,
 * which is left to whoever else attaches (a quarter; nothing in a small pool). Everybody
 * has one frame at least.
 *
 * Workers have their share even of a stream without a model: it may get one while it
 * runs, and a pool cannot be divided anew.
 */
export function routeGroups({ slots, mode, inFlight }: RouteOptions): RouteGroup[] {
  const spared = slots >= SPARING_SLOTS ? Math.floor(slots * SPARED_SHARE) : 0;
  const shared = slots - spared;
  const wanted = mode === 'lossless' ? Math.floor(shared / 2) : inFlight;
  const infer = Math.max(1, Math.min(wanted, shared - 1));
  return [
    { name: INFER_GROUP, hold: infer },
    { name: SINK_GROUP, hold: Math.max(1, shared - infer) },
  ];
}

/** Frames that a group's members may hold of a stream's pool; 0 when it is not on the route. */
export function groupHold(route: readonly RouteGroup[], group: string): number {
  return route.find(({ name }) => name === group)?.hold ?? 0;
}
