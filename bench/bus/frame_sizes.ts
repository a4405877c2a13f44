import type { FrameFormat } from '../../native/contract.js';

export type FrameSize = '720p' | '1080p' | '4k';

const i420 = (width: number, height: number): FrameFormat => ({
  width,
  height,
  pixelFormat: 'I420',
  matrix: 'bt709',
  range: 'limited',
  frameRateNumerator: 30,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
});

/** I420 throughout, so that only the number of bytes differs. */
export const FRAME_SIZES: Record<FrameSize, FrameFormat> = {
  '720p': i420(1280, 720),
  '1080p': i420(1920, 1080),
  '4k': i420(3840, 2160),
};

/** Bytes of an I420 frame without padding. */
export const frameBytes = ({ width, height }: FrameFormat): number => (width * height * 3) / 2;
