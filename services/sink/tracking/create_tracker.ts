import { FramebusError } from '../../../lib/errors.js';
import { ByteTracker, type ByteTrackerOptions } from './byte_tracker.js';
import { OcSortTracker, type OcSortTrackerOptions } from './oc_sort_tracker.js';
import type { Tracker } from './tracker.js';

/** How a stream is tracked; what is left out has its default. */
export type TrackerOptions =
  | ({ kind: 'byte' } & Partial<Omit<ByteTrackerOptions, 'epoch'>>)
  | ({ kind: 'oc_sort' } & Partial<Omit<OcSortTrackerOptions, 'epoch'>>);

/** docs/tracking.md says where the defaults come from. */
const COMMON_DEFAULTS = { highConfidence: 0.6, lowConfidence: 0.1, lostMs: 2000, confirmHits: 3 };
const BYTE_DEFAULTS = { ...COMMON_DEFAULTS, minOverlap: 0.2 };
const OC_SORT_DEFAULTS = { ...COMMON_DEFAULTS, minOverlap: 0.3, inertia: 0.2, directionMs: 100, recoveryMs: 500 };
/** How far the default of `newConfidence` is above `highConfidence`. */
const NEW_ABOVE_HIGH = 0.1;

/**
 * Makes the tracker of a stream.
 *
 * @param epoch upper half of every track id, a whole number from 0 to 2³² − 1 that
 * must not come twice for a stream, such as the second in which the tracker is made
 * @throws OPTION_INVALID
 */
export function createTracker(epoch: number, options: TrackerOptions): Tracker {
  check('epoch', epoch, 0, 2 ** 32 - 1, Number.isInteger(epoch));
  switch (options.kind) {
    case 'byte':
      return new ByteTracker(checked({ ...BYTE_DEFAULTS, newConfidence: newConfidence(options), ...options, epoch }));
    case 'oc_sort': {
      const all = { ...OC_SORT_DEFAULTS, newConfidence: newConfidence(options), ...options, epoch };
      check('inertia', all.inertia, 0, 1);
      check('directionMs', all.directionMs, 0, Infinity);
      check('recoveryMs', all.recoveryMs, 0, Infinity);
      return new OcSortTracker(checked(all));
    }
  }
}

function newConfidence({ highConfidence = COMMON_DEFAULTS.highConfidence }: TrackerOptions): number {
  return Math.min(1, highConfidence + NEW_ABOVE_HIGH);
}

function checked<T extends ByteTrackerOptions>(options: T): T {
  check('lowConfidence', options.lowConfidence, 0, 1);
  check('highConfidence', options.highConfidence, options.lowConfidence, 1);
  check('newConfidence', options.newConfidence, options.highConfidence, 1);
  check('minOverlap', options.minOverlap, 0, 1);
  check('lostMs', options.lostMs, 0, Infinity);
  check('confirmHits', options.confirmHits, 1, Infinity, Number.isInteger(options.confirmHits));
  return options;
}

function check(name: string, value: number, least: number, most: number, isWhole = true): void {
  if (value >= least && value <= most && isWhole && Number.isFinite(value)) return;
  const range = most === Infinity ? `${least} or more` : `${least} to ${most}`;
  throw new FramebusError('OPTION_INVALID', `tracker: ${name} ${value}: expected ${range}`);
}
