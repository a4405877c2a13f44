import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FrameFormat, FrameLease, FrameRegion, PreprocessFrame, PreprocessSpec, ProducerPool } from '../../native/contract.js';
import {
  createBusConsumer,
  createBusServer,
  createProducerPool,
  preprocess,
  preprocessPlanes,
} from '../../native/index.js';
import { CONSUMER, groups, SERVER } from '../helpers/bus_options.js';

interface PlaneBytes {
  data: Uint8Array;
  stride: number;
}

/** Same numbers on every run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function format(width: number, height: number, rest: Partial<FrameFormat> = {}): FrameFormat {
  return {
    width,
    height,
    pixelFormat: 'NV12',
    matrix: 'bt601',
    range: 'limited',
    frameRateNumerator: 25,
    frameRateDenominator: 1,
    pixelAspectNumerator: 1,
    pixelAspectDenominator: 1,
    ...rest,
  };
}

function spec(width: number, height: number, rest: Partial<PreprocessSpec> = {}): PreprocessSpec {
  return {
    width,
    height,
    resize: 'stretch',
    anchor: 'center',
    padValue: 114,
    colorOrder: 'rgb',
    layout: 'nchw',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    ...rest,
  };
}

function randomPlanes(frame: FrameFormat, random: (below: number) => number): PlaneBytes[] {
  const halfWidth = Math.ceil(frame.width / 2);
  const halfHeight = Math.ceil(frame.height / 2);
  const sizes: [row: number, rows: number][] =
    frame.pixelFormat === 'NV12'
      ? [[frame.width, frame.height], [2 * halfWidth, halfHeight]]
      : [[frame.width, frame.height], [halfWidth, halfHeight], [halfWidth, halfHeight]];
  return sizes.map(([row, rows]) => {
    const stride = row + random(20);
    const data = Uint8Array.from({ length: stride * (rows - 1) + row }, () => random(256));
    return { data, stride };
  });
}

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

/** A component (0 Y, 1 U, 2 V) at a position in its own plane, edges repeated. */
function sample(frame: FrameFormat, planes: PlaneBytes[], component: number, x: number, y: number): number {
  const width = component === 0 ? frame.width : Math.ceil(frame.width / 2);
  const height = component === 0 ? frame.height : Math.ceil(frame.height / 2);
  const packed = component > 0 && frame.pixelFormat === 'NV12';
  const plane = planes[packed ? 1 : component];
  if (!plane) throw new Error('no such plane');
  const at = (column: number, row: number): number => {
    const sx = clamp(column, 0, width - 1);
    const sy = clamp(row, 0, height - 1);
    const value = plane.data[sy * plane.stride + (packed ? 2 * sx + component - 1 : sx)];
    if (value === undefined) throw new Error('outside of the plane');
    return value;
  };
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  const top = at(x0, y0) * (1 - (x - x0)) + at(x0 + 1, y0) * (x - x0);
  const bottom = at(x0, y0 + 1) * (1 - (x - x0)) + at(x0 + 1, y0 + 1) * (x - x0);
  return top * (1 - (y - y0)) + bottom * (y - y0);
}

function rgbAt(frame: FrameFormat, planes: PlaneBytes[], x: number, y: number): [number, number, number] {
  const full = frame.range === 'full';
  const rawY = sample(frame, planes, 0, x, y);
  const luma = full ? rawY : ((rawY - 16) * 255) / 219;
  const gain = full ? 1 : 255 / 224;
  const u = (sample(frame, planes, 1, x / 2, (y - 0.5) / 2) - 128) * gain;
  const v = (sample(frame, planes, 2, x / 2, (y - 0.5) / 2) - 128) * gain;
  const [kr, kb] = frame.matrix === 'bt601' ? [0.299, 0.114] : [0.2126, 0.0722];
  const red = luma + 2 * (1 - kr) * v;
  const blue = luma + 2 * (1 - kb) * u;
  const green = (luma - kr * red - kb * blue) / (1 - kr - kb);
  return [clamp(red, 0, 255), clamp(green, 0, 255), clamp(blue, 0, 255)];
}

function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}

function place(frame: FrameFormat, net: PreprocessSpec): { left: number; top: number; width: number; height: number } {
  if (net.resize === 'stretch') return { left: 0, top: 0, width: net.width, height: net.height };
  const ratio = Math.min(net.height / frame.height, net.width / frame.width);
  const round = net.anchor === 'center' ? roundHalfEven : Math.floor;
  const width = Math.max(1, round(frame.width * ratio));
  const height = Math.max(1, round(frame.height * ratio));
  if (net.anchor === 'top-left') return { left: 0, top: 0, width, height };
  return {
    left: Math.max(0, roundHalfEven((net.width - width) / 2 - 0.1)),
    top: Math.max(0, roundHalfEven((net.height - height) / 2 - 0.1)),
    width,
    height,
  };
}

/** Largest difference from the reference, in levels before normalisation. */
function largestDifference(frame: FrameFormat, planes: PlaneBytes[], net: PreprocessSpec, tensor: Float32Array): number {
  const at = place(frame, net);
  let worst = 0;
  for (let y = 0; y < net.height; y += 1) {
    for (let x = 0; x < net.width; x += 1) {
      const px = x - at.left;
      const py = y - at.top;
      let levels = [net.padValue, net.padValue, net.padValue];
      if (px >= 0 && py >= 0 && px < at.width && py < at.height) {
        const fx = clamp(((px + 0.5) * frame.width) / at.width - 0.5, 0, frame.width - 1);
        const fy = clamp(((py + 0.5) * frame.height) / at.height - 0.5, 0, frame.height - 1);
        levels = rgbAt(frame, planes, fx, fy);
        if (net.colorOrder === 'bgr') levels.reverse();
      }
      levels.forEach((level, channel) => {
        const index =
          net.layout === 'nchw' ? (channel * net.height + y) * net.width + x : (y * net.width + x) * 3 + channel;
        const scale = net.scale[channel] ?? NaN;
        const expected = (level - (net.mean[channel] ?? NaN)) * scale;
        worst = Math.max(worst, Math.abs((tensor[index] ?? NaN) - expected) / Math.abs(scale));
      });
    }
  }
  return worst;
}

const ONE_255TH = 1 / 255;

function codeOf(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'nothing thrown';
}

describe('preprocessPlanes', () => {
  it('equals the reference for random sizes and every option', () => {
    const random = randomNumbers(1);
    for (let round = 0; round < 128; round += 1) {
      const bit = (n: number) => (round >> n) % 2 === 1;
      const frame = format(1 + random(120), 1 + random(90), {
        pixelFormat: bit(0) ? 'NV12' : 'I420',
        matrix: bit(1) ? 'bt709' : 'bt601',
        range: bit(2) ? 'full' : 'limited',
      });
      const net = spec(1 + random(80), 1 + random(80), {
        resize: bit(3) ? 'letterbox' : 'stretch',
        anchor: bit(4) ? 'top-left' : 'center',
        colorOrder: bit(5) ? 'bgr' : 'rgb',
        layout: bit(6) ? 'nhwc' : 'nchw',
        padValue: random(256),
        mean: [random(256), random(256), random(256)],
        scale: [1 / (1 + random(255)), 1 / (1 + random(255)), -1 / 127.5],
      });
      const planes = randomPlanes(frame, random);
      const tensor = new Float32Array(3 * net.width * net.height).fill(NaN);
      preprocessPlanes(frame, planes, net, tensor);
      expect(largestDifference(frame, planes, net, tensor), JSON.stringify({ frame, net })).toBeLessThanOrEqual(ONE_255TH);
    }
  });

  it('writes into its part of a batch tensor and nowhere else', () => {
    const random = randomNumbers(2);
    const frame = format(33, 17);
    const planes = randomPlanes(frame, random);
    const net = spec(8, 6);
    const batch = new Float32Array(3 * 3 * 8 * 6).fill(-7);
    preprocessPlanes(frame, planes, net, batch.subarray(3 * 8 * 6, 2 * 3 * 8 * 6));
    expect(largestDifference(frame, planes, net, batch.slice(144, 288))).toBeLessThanOrEqual(ONE_255TH);
    expect(batch.slice(0, 144).every((value) => value === -7)).toBe(true);
    expect(batch.slice(288).every((value) => value === -7)).toBe(true);
  });

  it('says how to map boxes back', () => {
    const frame = format(1920, 1080, { pixelFormat: 'I420' });
    const planes = randomPlanes(frame, randomNumbers(3));
    const tensor = new Float32Array(3 * 640 * 640);
    const geometry = (rest: Partial<PreprocessSpec>) => preprocessPlanes(frame, planes, spec(640, 640, rest), tensor);
    expect(geometry({})).toEqual({ scaleX: 640 / 1920, scaleY: 640 / 1080, offsetX: 0, offsetY: 0 });
    expect(geometry({ resize: 'letterbox' })).toEqual({ scaleX: 1 / 3, scaleY: 1 / 3, offsetX: 0, offsetY: 140 });
    expect(geometry({ resize: 'letterbox', anchor: 'top-left' })).toEqual({
      scaleX: 1 / 3,
      scaleY: 1 / 3,
      offsetX: 0,
      offsetY: 0,
    });
  });

  it('refuses planes, tensors and specs that do not fit', () => {
    const frame = format(8, 4);
    const planes = randomPlanes(frame, randomNumbers(4));
    const [luma, chroma] = planes;
    if (!luma || !chroma) throw new Error('NV12 has two planes');
    const tensor = new Float32Array(12);
    const net = spec(2, 2);
    const cases: (() => unknown)[] = [
      () => preprocessPlanes(frame, [luma], net, tensor),
      () => preprocessPlanes(frame, [{ ...luma, data: luma.data.subarray(1) }, chroma], net, tensor),
      () => preprocessPlanes(frame, [{ ...luma, stride: 7 }, chroma], net, tensor),
      () => preprocessPlanes(frame, planes, net, tensor.subarray(1)),
      () => preprocessPlanes(frame, planes, { ...net, width: 0 }, tensor),
      () => preprocessPlanes(frame, planes, { ...net, scale: [1, Infinity, 1] }, tensor),
      () => preprocessPlanes({ ...frame, height: 0 }, planes, net, tensor),
    ];
    for (const action of cases) expect(codeOf(action)).toBe('BAD_ARGUMENT');
  });
});

/** Offers pools of two sizes on a bus and leases one random frame of each. */
async function withLeases(
  formats: FrameFormat[],
  body: (leases: FrameLease[], planes: PlaneBytes[][]) => void,
): Promise<void> {
  const directory = mkdtempSync(path.join(tmpdir(), 'framebus-preprocess-'));
  const random = randomNumbers(5);
  const server = createBusServer({ directory, producer: 'pictures', ...SERVER }, () => undefined);
  const consumer = createBusConsumer({ directory, name: 'test', group: 'infer', maxHeld: 4, ...CONSUMER }, () => undefined);
  const pools: ProducerPool[] = [];
  try {
    const leases: FrameLease[] = [];
    const written: PlaneBytes[][] = [];
    for (const [index, frame] of formats.entries()) {
      const pool = createProducerPool(server, { streamId: `s${String(index)}`, format: frame, memory: 'shm', slots: 4, groups: groups(['infer', 3]) });
      pools.push(pool);
      const slot = pool.acquire(false);
      if (!slot) throw new Error('a new pool has free slots');
      const planes = slot.planes();
      for (const plane of planes) plane.data.forEach((_, at) => (plane.data[at] = random(256)));
      written.push(planes.map(({ data, stride }) => ({ data: data.slice(), stride })));
      const generation = slot.publish();
      await consumer.attach('pictures', pool.epoch);
      const lease = consumer.lease(pool.epoch, slot.slot, generation);
      if (typeof lease === 'string') throw new Error(`no lease: ${lease}`);
      leases.push(lease);
    }
    body(leases, written);
  } finally {
    await consumer.close();
    for (const pool of pools) pool.close();
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

const whole = (leases: readonly FrameLease[]): PreprocessFrame[] => leases.map(({ id }) => ({ leaseId: id, region: null }));

describe('preprocess', () => {
  it('writes leased frames of different sizes into one batch', async () => {
    const formats = [format(65, 39), format(48, 80, { pixelFormat: 'I420', matrix: 'bt709', range: 'full' })];
    await withLeases(formats, (leases, planes) => {
      const net = spec(24, 20, { resize: 'letterbox', scale: [1 / 255, 1 / 255, 1 / 255] });
      const size = 3 * net.width * net.height;
      const batch = new Float32Array(2 * size).fill(NaN);
      const geometry = preprocess(whole(leases), net, batch);
      expect(geometry).toHaveLength(2);
      formats.forEach((frame, index) => {
        const part = batch.subarray(index * size, (index + 1) * size);
        expect(largestDifference(frame, planes[index] ?? [], net, part)).toBeLessThanOrEqual(ONE_255TH);
        const r = Math.min(net.width / frame.width, net.height / frame.height);
        expect(geometry[index]?.scaleX).toBe(r);
      });
      expect(codeOf(() => preprocess(whole(leases), net, batch.subarray(1)))).toBe('BAD_ARGUMENT');
      leases[1]?.release();
      expect(codeOf(() => preprocess(whole(leases), net, batch))).toBe('FRAME_RELEASED');
      leases[0]?.release();
    });
  });

  it('refuses leases that are gone', () => {
    expect(codeOf(() => preprocess([{ leaseId: 4_000_000_000, region: null }], spec(2, 2), new Float32Array(12)))).toBe('FRAME_RELEASED');
    expect(codeOf(() => preprocess([{ leaseId: 0, region: null }], spec(2, 2), new Float32Array(12)))).toBe('FRAME_RELEASED');
  });

  it('takes a part of a frame, outward to even pixels, and maps back to the whole', async () => {
    const formats = [format(65, 39), format(48, 80, { pixelFormat: 'I420' })];
    const parts: [FrameRegion, [x: number, y: number, width: number, height: number]][] = [
      [{ x: 3.2, y: 5, width: 20, height: 11 }, [2, 4, 22, 12]],
      [{ x: 30, y: 20, width: 100, height: 100 }, [30, 20, 35, 19]],
      [{ x: -5, y: -5, width: 6, height: 6 }, [0, 0, 2, 2]],
      [{ x: 500, y: 500, width: 1, height: 1 }, [64, 38, 1, 1]],
    ];
    await withLeases(formats, (leases, planes) => {
      const net = spec(16, 12, { resize: 'letterbox', anchor: 'center' });
      const batch = new Float32Array(3 * 16 * 12);
      const expected = new Float32Array(batch.length);
      for (const [region, [x, y, width, height]] of parts) {
        const [geometry] = preprocess([{ leaseId: leases[0]?.id ?? 0, region }], net, batch);
        const [luma, chroma] = planes[0] ?? [];
        if (!luma || !chroma || !geometry) throw new Error('NV12 has two planes');
        const cut = [luma.data.subarray(y * luma.stride + x), chroma.data.subarray((y / 2) * chroma.stride + x)];
        const inCrop = preprocessPlanes(
          { ...format(65, 39), width, height },
          [{ data: cut[0] ?? luma.data, stride: luma.stride }, { data: cut[1] ?? chroma.data, stride: chroma.stride }],
          net,
          expected,
        );
        expect(batch).toEqual(expected);
        expect((0 - geometry.offsetX) / geometry.scaleX).toBeCloseTo((0 - inCrop.offsetX) / inCrop.scaleX + x, 9);
        expect((0 - geometry.offsetY) / geometry.scaleY).toBeCloseTo((0 - inCrop.offsetY) / inCrop.scaleY + y, 9);
      }
      const [y, u, v] = planes[1] ?? [];
      if (!y || !u || !v) throw new Error('I420 has three planes');
      preprocess([{ leaseId: leases[1]?.id ?? 0, region: { x: 10, y: 20, width: 20, height: 30 } }], net, batch);
      preprocessPlanes(
        { ...format(20, 30), pixelFormat: 'I420' },
        [
          { data: y.data.subarray(20 * y.stride + 10), stride: y.stride },
          { data: u.data.subarray(10 * u.stride + 5), stride: u.stride },
          { data: v.data.subarray(10 * v.stride + 5), stride: v.stride },
        ],
        net,
        expected,
      );
      expect(batch).toEqual(expected);
      const wrong = { x: 0, y: 0, width: 0, height: 1 };
      expect(codeOf(() => preprocess([{ leaseId: leases[0]?.id ?? 0, region: wrong }], net, batch))).toBe('BAD_ARGUMENT');
      for (const lease of leases) lease.release();
    });
  });
});
