import type { FrameFormat } from '../../native/contract.js';

/** A 1080p frame as hardware decoders give it. */
export const FRAME: FrameFormat = {
  width: 1920,
  height: 1080,
  pixelFormat: 'NV12',
  matrix: 'bt709',
  range: 'limited',
  frameRateNumerator: 30,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
};

/** Bytes of that frame. */
export const FRAME_BYTES = (FRAME.width * FRAME.height * 3) / 2;

/** A network's picture, in pixels. */
export interface NetworkSize {
  name: '640x640' | '300x300';
  width: number;
  height: number;
}

export const NETWORK_SIZES: readonly NetworkSize[] = [
  { name: '640x640', width: 640, height: 640 },
  { name: '300x300', width: 300, height: 300 },
];

/** Bytes of the network's input: three planes of float32. */
export const tensorBytes = ({ width, height }: NetworkSize): number => width * height * 3 * 4;
