import type { FrameFormat, Plane } from '../../native/contract.js';

/** Kr, Kb of ITU-R BT.601-7 §2.5.1 and BT.709-6 §3.2. */
const LUMA_SHARES = { bt601: [0.299, 0.114], bt709: [0.2126, 0.0722] } as const;
/** Fixed point with 16 bits below the point; a half, to round. */
const ONE = 65_536;
const HALF = ONE / 2;

/** Contributions of one sample value each, 0–255, in fixed point. */
interface Tables {
  luma: Int32Array;
  redOfV: Int32Array;
  greenOfU: Int32Array;
  greenOfV: Int32Array;
  blueOfU: Int32Array;
}

function tables({ matrix, range }: FrameFormat): Tables {
  const [kr, kb] = LUMA_SHARES[matrix];
  const kg = 1 - kr - kb;
  const limited = range === 'limited';
  const table = (offset: number, scale: number): Int32Array =>
    Int32Array.from({ length: 256 }, (_, value) => Math.round((value - offset) * scale * ONE));
  const chroma = limited ? 255 / 224 : 1;
  return {
    luma: limited ? table(16, 255 / 219) : table(0, 1),
    redOfV: table(128, 2 * (1 - kr) * chroma),
    greenOfU: table(128, (-2 * (1 - kb) * kb * chroma) / kg),
    greenOfV: table(128, (-2 * (1 - kr) * kr * chroma) / kg),
    blueOfU: table(128, 2 * (1 - kb) * chroma),
  };
}

/** A picture as 8-bit RGB, packed, by the format's matrix and range; each chroma sample for its four pixels. */
export function rgbOf(planes: readonly Plane[], format: FrameFormat): Uint8ClampedArray {
  const { width, height, pixelFormat } = format;
  const [y, first, second] = planes;
  const nv12 = pixelFormat === 'NV12';
  const v = nv12 ? first : second;
  if (y === undefined || first === undefined || v === undefined) throw new TypeError('planes do not fit the format');
  const { luma, redOfV, greenOfU, greenOfV, blueOfU } = tables(format);
  const step = nv12 ? 2 : 1;
  const rgb = new Uint8ClampedArray(width * height * 3);
  const at = (table: Int32Array, value: number | undefined): number => table[value ?? 0] ?? 0;
  for (let row = 0, out = 0; row < height; row++) {
    const lumaRow = row * y.stride;
    const uRow = (row >> 1) * first.stride;
    const vRow = (row >> 1) * v.stride + step - 1;
    for (let column = 0; column < width; column++) {
      const chroma = (column >> 1) * step;
      const uValue = first.data[uRow + chroma];
      const vValue = v.data[vRow + chroma];
      const level = at(luma, y.data[lumaRow + column]) + HALF;
      rgb[out++] = (level + at(redOfV, vValue)) >> 16;
      rgb[out++] = (level + at(greenOfU, uValue) + at(greenOfV, vValue)) >> 16;
      rgb[out++] = (level + at(blueOfU, uValue)) >> 16;
    }
  }
  return rgb;
}
