// IEEE 754 binary16, as ONNX's float16 has it. Node 20 has no Float16Array.

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** Every half as a float: 256 KiB, made at first use. */
let table: Float32Array | null = null;

/** Halves, as bits, to floats. */
export function fromHalf(halves: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 0x10000 }, (_, half) => one(half));
  const floats = new Float32Array(halves.length);
  for (let index = 0; index < halves.length; index++) floats[index] = table[halves[index] as number] as number;
  return floats;
}

function one(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Floats to halves, as bits: to the nearest, ties to even; what is too large becomes infinite. */
export function toHalf(floats: Float32Array, into: Uint16Array, count = floats.length): void {
  for (let index = 0; index < count; index++) {
    float[0] = floats[index] as number;
    const value = bits[0] as number;
    const sign = (value >>> 16) & 0x8000;
    const magnitude = value & 0x7fffffff;
    into[index] = sign | (magnitude >= 0x38800000 ? normal(magnitude) : subnormal(magnitude));
  }
}

/** From 2⁻¹⁴ up. */
function normal(magnitude: number): number {
  if (magnitude > 0x7f800000) return 0x7e00;
  if (magnitude >= 0x477ff000) return 0x7c00;
  // 13 bits are cut off; adding just under half of the last kept one, plus that one, rounds ties to even.
  return (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
}

function subnormal(magnitude: number): number {
  bits[0] = magnitude;
  const scaled = (float[0] as number) * 2 ** 24;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
