import type { ColorMatrix, ColorRange, FrameFormat, PixelFormat } from '../../native/contract.js';
import { FramebusError } from '../errors.js';

/** Size and layout of the frames that a program publishes. */
export interface ProducerFormat {
  /** Pixels; even numbers. */
  width: number;
  height: number;
  /** Default I420: planes Y, U, V. NV12: Y, UV. */
  pixelFormat?: PixelFormat;
  /** Nominal frames per second, also as a fraction [30000, 1001]. Default: not said. */
  frameRate?: number | readonly [numerator: number, denominator: number];
  /** Default: bt709 from 720 rows up, bt601 below. */
  matrix?: ColorMatrix;
  /** Default: limited. */
  range?: ColorRange;
}

const HD_ROWS = 720;
const LARGEST = 16_384;

/** What the bus wants to know, defaults filled in; the format of a frame as it is. @throws OPTION_INVALID */
export function frameFormat(format: ProducerFormat | FrameFormat): FrameFormat {
  const { width, height, pixelFormat = 'I420', range = 'limited' } = format;
  for (const [what, value] of Object.entries({ width, height })) {
    if (Number.isInteger(value) && value >= 2 && value <= LARGEST && value % 2 === 0) continue;
    throw new FramebusError('OPTION_INVALID', `format.${what} ${value}: an even number from 2 to ${LARGEST}`);
  }
  if ('frameRateNumerator' in format) return format;
  const [frameRateNumerator, frameRateDenominator] = fraction(format.frameRate ?? 0);
  return {
    width,
    height,
    pixelFormat,
    matrix: format.matrix ?? (height >= HD_ROWS ? 'bt709' : 'bt601'),
    range,
    frameRateNumerator,
    frameRateDenominator,
    pixelAspectNumerator: 1,
    pixelAspectDenominator: 1,
  };
}

function fraction(rate: NonNullable<ProducerFormat['frameRate']>): [number, number] {
  const parts: [number, number] = typeof rate === 'number' ? thousandths(rate) : [rate[0], rate[1]];
  if (parts.every(Number.isSafeInteger) && parts[0] >= 0 && parts[1] > 0) return parts;
  throw new FramebusError('OPTION_INVALID', `format.frameRate ${String(rate)}: frames per second, or a fraction`);
}

function thousandths(rate: number): [number, number] {
  return Number.isInteger(rate) ? [rate, 1] : [Math.round(rate * 1000), 1000];
}
