import type { PreprocessSpec } from '../../native/contract.js';
import { preprocessPlanes } from '../../native/index.js';
import { FRAME, FRAME_BYTES, type NetworkSize } from './sizes.js';

/** More than the caches of one core hold. */
const FRAMES = 12;

/** one: the same frame again and again; many: each comes from memory. */
export type FrameSupply = 'one' | 'many';

/** Frames of noise in memory; what is done with them is timed by this thread's CPU. */
export class Frames {
  readonly #frames: Uint8Array[];

  constructor() {
    this.#frames = Array.from({ length: FRAMES }, (_, seed) => noise(seed));
  }

  /** CPU microseconds of ours for a frame: NV12 to a stretched, normalised float32 tensor [3, height, width]. */
  preprocessUs({ width, height }: NetworkSize, supply: FrameSupply, count: number): number {
    const spec: PreprocessSpec = {
      width,
      height,
      resize: 'stretch',
      anchor: 'center',
      padValue: 114,
      colorOrder: 'rgb',
      layout: 'nchw',
      mean: [0, 0, 0],
      scale: [1 / 255, 1 / 255, 1 / 255],
    };
    const tensor = new Float32Array(3 * width * height);
    const luma = FRAME.width * FRAME.height;
    return this.#timeUs(supply, count, (frame) => {
      const planes = [
        { data: frame.subarray(0, luma), stride: FRAME.width },
        { data: frame.subarray(luma), stride: FRAME.width },
      ];
      preprocessPlanes(FRAME, planes, spec, tensor);
    });
  }

  /** CPU microseconds of memcpy for a frame. */
  copyUs(count: number): number {
    const target = new Uint8Array(FRAME_BYTES);
    return this.#timeUs('many', count, (frame) => target.set(frame));
  }

  #timeUs(supply: FrameSupply, count: number, work: (frame: Uint8Array) => void): number {
    const frames = supply === 'one' ? 1 : FRAMES;
    const first = this.#frames[0];
    if (first !== undefined) work(first);
    const before = process.cpuUsage();
    for (let index = 0; index < count; index++) {
      const frame = this.#frames[index % frames];
      if (frame !== undefined) work(frame);
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / count;
  }
}

/** The same bytes for the same seed. */
function noise(seed: number): Uint8Array {
  return new Uint8Array(FRAME_BYTES).map((_, index) => (Math.imul(index + seed + 1, 2654435761) >>> 24) & 255);
}
