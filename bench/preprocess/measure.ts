import { median } from '../bus/quantile.js';
import { Frames } from './frames.js';
import { GST_FORMATS, gstConvertUs, type GstFormat } from './gst_convert.js';
import { FRAME_BYTES, NETWORK_SIZES, tensorBytes, type NetworkSize } from './sizes.js';

export interface PreprocessEffort {
  blocks: number;
  /** Frames of a block. */
  frames: number;
}

export const FULL: PreprocessEffort = { blocks: 7, frames: 300 };
/** For tests: the same blocks, once and short. */
export const QUICK: PreprocessEffort = { blocks: 1, frames: 60 };

/** Medians for one network's picture. CPU microseconds a frame, one thread each. */
export interface PreprocessFigures {
  size: NetworkSize;
  oursUs: number;
  /** Ours, of frames that are in no cache. */
  fromMemoryUs: number;
  gstUs: number;
  /** Of GStreamer's formats the one that took it the least. */
  gstFormat: GstFormat;
  speedup: number;
  /** Bytes of frame and tensor that ours goes through in a second, of frames that are in no cache. */
  bytesPerSecond: number;
}

export interface PreprocessMeasurement {
  sizes: PreprocessFigures[];
  /** Bytes read and written by memcpy in a second, on the same frames. */
  memcpyBytesPerSecond: number;
}

/** Ours, videoconvertscale and memcpy in turn. */
export async function measurePreprocess(
  { blocks, frames }: PreprocessEffort,
  say: (text: string) => void,
): Promise<PreprocessMeasurement> {
  const memory = new Frames();
  const formats = new Map<NetworkSize, GstFormat>();
  for (const size of NETWORK_SIZES) formats.set(size, await fastestFormat(size, frames));
  const ours = new Map<NetworkSize, number[]>(NETWORK_SIZES.map((size) => [size, []]));
  const fromMemory = new Map<NetworkSize, number[]>(NETWORK_SIZES.map((size) => [size, []]));
  const gst = new Map<NetworkSize, number[]>(NETWORK_SIZES.map((size) => [size, []]));
  const copies: number[] = [];
  for (let block = 0; block < blocks; block++) {
    for (const size of NETWORK_SIZES) {
      ours.get(size)?.push(memory.preprocessUs(size, 'one', frames));
      fromMemory.get(size)?.push(memory.preprocessUs(size, 'many', frames));
      gst.get(size)?.push(await gstConvertUs(size, formats.get(size) ?? GST_FORMATS[0], frames));
    }
    copies.push(memory.copyUs(frames));
    say(`block ${block + 1} of ${blocks}`);
  }
  return {
    sizes: NETWORK_SIZES.map((size) => {
      const [oursUs, fromMemoryUs, gstUs] = [ours, fromMemory, gst].map((of) => median(of.get(size) ?? [])) as [number, number, number];
      return {
        size,
        oursUs,
        fromMemoryUs,
        gstUs,
        gstFormat: formats.get(size) ?? GST_FORMATS[0],
        speedup: gstUs / oursUs,
        bytesPerSecond: ((FRAME_BYTES + tensorBytes(size)) * 1e6) / fromMemoryUs,
      };
    }),
    memcpyBytesPerSecond: (2 * FRAME_BYTES * 1e6) / median(copies),
  };
}

async function fastestFormat(size: NetworkSize, frames: number): Promise<GstFormat> {
  let best: { format: GstFormat; us: number } | undefined;
  for (const format of GST_FORMATS) {
    const us = await gstConvertUs(size, format, frames);
    if (best === undefined || us < best.us) best = { format, us };
  }
  return best?.format ?? GST_FORMATS[0];
}
