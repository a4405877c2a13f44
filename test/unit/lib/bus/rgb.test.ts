import { describe, expect, it } from 'vitest';
import { rgbOf } from '../../../../lib/bus/rgb.js';
import type { FrameFormat, Plane } from '../../../../native/contract.js';

const format = (rest: Partial<FrameFormat>): FrameFormat => ({
  ...{ width: 2, height: 2, pixelFormat: 'I420', matrix: 'bt601', range: 'limited' },
  ...{ frameRateNumerator: 0, frameRateDenominator: 1, pixelAspectNumerator: 1, pixelAspectDenominator: 1 },
  ...rest,
});

const plane = (width: number, height: number, stride: number, ...data: number[]): Plane => ({
  ...{ width, height, stride },
  data: Uint8Array.from(data),
});

/** A picture of 2×2 pixels in one colour. */
function pixel(y: number, u: number, v: number, rest: Partial<FrameFormat>): number[] {
  const luma = plane(2, 2, 3, y, y, 0, y, y, 0);
  const chroma =
    rest.pixelFormat === 'NV12' ? [plane(1, 1, 2, u, v)] : [plane(1, 1, 1, u), plane(1, 1, 1, v)];
  const rgb = [...rgbOf([luma, ...chroma], format(rest))];
  expect(rgb).toHaveLength(12);
  for (let at = 3; at < 12; at++) expect(rgb[at]).toBe(rgb[at % 3]);
  return rgb.slice(0, 3);
}

describe('RGB of a frame', () => {
  // EBU 100 % colour bars; values of ITU-R BT.601 and BT.709, 8 bits.
  it.each([
    ['bt601 red', [81, 90, 240], {}, [254, 0, 0]],
    ['bt601 green', [145, 54, 34], {}, [0, 255, 1]],
    ['bt601 blue', [41, 240, 110], {}, [0, 0, 255]],
    ['bt709 red', [63, 102, 240], { matrix: 'bt709' }, [255, 1, 0]],
    ['bt709 green', [173, 42, 26], { matrix: 'bt709' }, [0, 255, 1]],
    ['bt709 blue', [32, 240, 118], { matrix: 'bt709' }, [1, 0, 255]],
    ['white, limited', [235, 128, 128], {}, [255, 255, 255]],
    ['black, limited', [16, 128, 128], {}, [0, 0, 0]],
    ['grey, full', [235, 128, 128], { range: 'full' }, [235, 235, 235]],
    ['below black', [0, 128, 128], {}, [0, 0, 0]],
    ['red, NV12', [81, 90, 240], { pixelFormat: 'NV12' }, [254, 0, 0]],
  ] as const)('%s', (_name, [y, u, v], rest, expected) => {
    for (const [i, value] of pixel(y, u, v, rest).entries()) {
      expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(1);
    }
  });

  it('takes each pixel from its place', () => {
    const luma = plane(4, 2, 4, 16, 50, 100, 150, 200, 235, 16, 16);
    const u = plane(2, 1, 2, 128, 128);
    const rgb = rgbOf([luma, u, u], format({ width: 4, range: 'full' }));
    expect([...rgb].filter((_, i) => i % 3 === 0)).toEqual([...luma.data]);
  });
});
