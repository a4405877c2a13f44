import { commandCpuSeconds } from '../stages/command_cpu.js';
import type { NetworkSize } from './sizes.js';
import { FRAME } from './sizes.js';

/** What comes out: planar, packed, or packed with a byte left over. All of 8 bits. */
export const GST_FORMATS = ['RGBP', 'RGB', 'RGBx'] as const;
export type GstFormat = (typeof GST_FORMATS)[number];

/** One picture again and again, by reference: sending it costs next to nothing. */
const frames = (count: number): string[] => [
  ...['gst-launch-1.0', '-q', 'videotestsrc', 'num-buffers=1', '!'],
  `video/x-raw,format=NV12,width=${FRAME.width},height=${FRAME.height},framerate=30/1`,
  ...['!', 'imagefreeze', `num-buffers=${count}`, '!'],
];
const SINK = ['fakesink', 'sync=false'];

/** CPU microseconds of videoconvertscale for a frame, on one thread; all else that the process does is taken off. */
export async function gstConvertUs({ width, height }: NetworkSize, format: GstFormat, count: number): Promise<number> {
  const convert = ['videoconvertscale', 'n-threads=1', '!', `video/x-raw,format=${format},width=${width},height=${height}`, '!'];
  const all = await commandCpuSeconds([...frames(count), ...convert, ...SINK]);
  const rest = await commandCpuSeconds([...frames(count), ...SINK]);
  return ((all - rest) / count) * 1e6;
}
