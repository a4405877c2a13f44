/** Subjects of the bench's own nats-server, and marks in the pixels. */
import type { Plane } from '../../native/contract.js';
import * as subjects from '../../lib/subjects.js';
import type { DescriptorWay } from './block.js';
import { GROUP } from './bus_options.js';

/** Subject of a stream's descriptors. */
export const framesOf = (stream: string, way: DescriptorWay): string =>
  way === 'plain' ? subjects.tapFrames(stream, GROUP, GROUP) : subjects.losslessFrames(GROUP, stream);
export const ALL_PLAIN_FRAMES = `fb.taps.*.${GROUP}.${GROUP}`;
/** Bare requests to the consumer, answered with nothing. */
export const REQUESTS = 'bench.request';
/** Whole frames in pieces. */
export const PIXELS = 'bench.pixels';

/** Writes a frame's number into its first and last bytes. */
export function mark(planes: readonly Plane[], index: number): void {
  for (const { data } of planes) {
    data[0] = index;
    data[data.length - 1] = index;
  }
}

/** Whether the planes carry that number. */
export function isMarked(planes: readonly Plane[], index: number): boolean {
  const value = index & 0xff;
  return planes.every(({ data }) => data[0] === value && data[data.length - 1] === value);
}
