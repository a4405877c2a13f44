import type { DescriptorWay, OpenedPool } from './block.js';
import type { BusFigures, Percentiles } from './figures.js';
import { FRAME_SIZES, type FrameSize } from './frame_sizes.js';
import { median, quantile } from './quantile.js';
import type { BusRig, FrameCost } from './rig.js';
import { shmsinkCost } from './shmsink.js';

/** How long it may take; the figures mean the same. */
export interface Effort {
  /** How often each block is run, in turn with all others. */
  cycles: number;
  /** Seconds of a block that count. */
  blockSeconds: number;
  streams64Seconds: number;
}

export const FULL: Effort = { cycles: 4, blockSeconds: 1, streams64Seconds: 5 };
/** For tests: the same blocks, once and short. */
export const QUICK: Effort = { cycles: 1, blockSeconds: 0.3, streams64Seconds: 1 };

/** 16 cameras of 30 frames/s. */
const FRAMES_PER_SECOND = 480;
/** One camera; 64 of them. */
const OTHER_RATES = [30, 1920];
/** Slow enough that no frame waits for another. */
const LATENCY_PER_SECOND = 200;
const PIXELS_PER_SECOND = 30;
const WARM_UP_SECONDS = 0.1;
const SLOTS = 16;
const BARE_ROUNDS = 12;
/** Lets V8 compile what runs later. */
const FIRST_WARM_UP = { perSecond: 2000, warmUp: 1, frames: 3000 };
const STREAMS = 64;
const STREAM_FRAMES_PER_SECOND = 30;
const STREAM_SLOTS = 4;

/** The same keys for every size. */
const bySize = <T>(make: (size: FrameSize) => T): Record<FrameSize, T> => ({
  '720p': make('720p'),
  '1080p': make('1080p'),
  '4k': make('4k'),
});

const paced = (perSecond: number, seconds: number) => ({
  perSecond,
  warmUp: Math.max(5, Math.round(perSecond * WARM_UP_SECONDS)),
  frames: Math.max(20, Math.round(perSecond * seconds)),
});

/** Raw samples; one of each a cycle, or more. */
interface Samples {
  cost: Record<FrameSize, FrameCost[]>;
  costAtRate: Map<number, number[]>;
  /** By rate, too. */
  pacing: Map<number, number[]>;
  busOnly: Record<FrameSize, number[]>;
  copied: number[];
  inPlace: number[];
  pixels: number[];
  plainUs: number[];
  pulledUs: number[];
  requestUs: number[];
}

/**
 * Everything that the budgets compare is measured in turn, in short blocks, so
 * that a busy machine is busy for all alike.
 */
export class BusMeasurement {
  readonly #rig: BusRig;
  readonly #pixelRig: BusRig;
  readonly #folder: string;
  readonly #effort: Effort;
  readonly #samples: Samples = {
    cost: bySize(() => []),
    costAtRate: new Map(OTHER_RATES.map((rate) => [rate, []])),
    pacing: new Map([FRAMES_PER_SECOND, ...OTHER_RATES].map((rate) => [rate, []])),
    busOnly: bySize(() => []),
    copied: [],
    inPlace: [],
    pixels: [],
    plainUs: [],
    pulledUs: [],
    requestUs: [],
  };
  #pools = new Map<FrameSize, OpenedPool>();
  #turn = 0;

  /**
   * Pixels in messages have a rig of their own: the megabytes of garbage that they
   * make would be collected in other blocks' time. `folder` is for shmsink's socket.
   */
  constructor(rig: BusRig, pixelRig: BusRig, folder: string, effort: Effort) {
    this.#rig = rig;
    this.#pixelRig = pixelRig;
    this.#folder = folder;
    this.#effort = effort;
  }

  async run(say: (text: string) => void): Promise<BusFigures> {
    const sizes = Object.keys(FRAME_SIZES) as FrameSize[];
    const opened = await this.#rig.open(sizes.map((size) => ({ stream: size, format: FRAME_SIZES[size], slots: SLOTS })));
    this.#pools = new Map(sizes.map((size, index) => [size, opened[index] as OpenedPool]));
    for (const way of ['plain', 'pulled'] as const) {
      await this.#rig.frames({ ...FIRST_WARM_UP, streams: sizes, way }, false);
    }
    for (let cycle = 1; cycle <= this.#effort.cycles; cycle++) {
      say(`cycle ${cycle} of ${this.#effort.cycles}: frames, shmsink, pixels in messages, latency`);
      await this.#costs();
      await this.#competitors();
      await this.#costs();
      await this.#rates();
      await this.#latencies();
    }
    await this.#rig.closePools();
    say(`${STREAMS} streams`);
    return this.#figures(await this.#streams64());
  }

  /** CPU of frames of all sizes, one after the other. */
  async #costs(): Promise<void> {
    for (const size of this.#sizesInTurn()) {
      const block = { ...paced(FRAMES_PER_SECOND, this.#effort.blockSeconds / 2), streams: [size] };
      this.#samples.cost[size].push(await this.#rig.frames({ ...block, way: 'plain' }, false));
    }
    for (const sizes of [this.#sizesInTurn(), this.#sizesInTurn(), this.#sizesInTurn()]) {
      for (const size of sizes) {
        this.#samples.busOnly[size].push(await this.#rig.bareFrame(this.#pools.get(size) as OpenedPool, BARE_ROUNDS));
      }
    }
  }

  /** Each time another size is the first: what comes after something else costs a little more. */
  #sizesInTurn(): FrameSize[] {
    const sizes = [...this.#pools.keys()];
    const first = this.#turn++ % sizes.length;
    return [...sizes.slice(first), ...sizes.slice(0, first)];
  }

  /** 1080p at other rates, and what the pacing itself costs at each. */
  async #rates(): Promise<void> {
    const seconds = this.#effort.blockSeconds / 2;
    for (const [rate, costs] of this.#samples.costAtRate) {
      const block = { ...paced(rate, seconds), streams: ['1080p'], way: 'plain' as const };
      costs.push((await this.#rig.frames(block, false)).cpuUs);
    }
    for (const [rate, costs] of this.#samples.pacing) {
      costs.push(await this.#rig.pacing(paced(rate, seconds)));
    }
  }

  async #competitors(): Promise<void> {
    const { blockSeconds } = this.#effort;
    const shmsink = await shmsinkCost(paced(FRAMES_PER_SECOND, blockSeconds / 2), this.#folder);
    this.#samples.copied.push(shmsink.copiedUs);
    this.#samples.inPlace.push(shmsink.inPlaceUs);
    this.#samples.pixels.push(await this.#pixelRig.pixelsInMessages(paced(PIXELS_PER_SECOND, blockSeconds)));
  }

  async #latencies(): Promise<void> {
    const block = paced(LATENCY_PER_SECOND, this.#effort.blockSeconds);
    const frames = (way: DescriptorWay): Promise<FrameCost> =>
      this.#rig.frames({ ...block, streams: ['1080p'], way }, true);
    const plain = await frames('plain');
    this.#samples.plainUs.push(...plain.latencyUs);
    this.#samples.requestUs.push(...(await this.#rig.requests(block, plain.descriptorBytes)));
    this.#samples.pulledUs.push(...(await frames('pulled')).latencyUs);
  }

  async #streams64(): Promise<FrameCost> {
    const streams = Array.from({ length: STREAMS }, (_, index) => `camera-${index}`);
    await this.#rig.open(streams.map((stream) => ({ stream, format: FRAME_SIZES['1080p'], slots: STREAM_SLOTS })));
    const block = paced(STREAMS * STREAM_FRAMES_PER_SECOND, this.#effort.streams64Seconds);
    const cost = await this.#rig.frames({ ...block, streams, way: 'plain' }, false);
    await this.#rig.closePools();
    return cost;
  }

  #figures(streams64: FrameCost): BusFigures {
    const { cost, costAtRate, pacing, busOnly, copied, inPlace, pixels, plainUs, pulledUs, requestUs } = this.#samples;
    // As with shmsink, what paces the frames is no part of their way.
    const paceUs = (rate: number): number => median(pacing.get(rate) ?? []);
    const sourceUs = paceUs(FRAMES_PER_SECOND);
    const cpuUs = bySize((size) => median(cost[size].map((block) => block.cpuUs)) - sourceUs);
    const others = [...costAtRate].map(([rate, costs]) => [String(rate), median(costs) - paceUs(rate)] as const);
    return {
      framesPerSecond: FRAMES_PER_SECOND,
      cpuUs,
      pacingCpuUs: sourceUs,
      cpuUsAtRate: Object.fromEntries([...others, [String(FRAMES_PER_SECOND), cpuUs['1080p']]]),
      natsServerCpuUs: median(cost['1080p'].map((block) => block.natsServerCpuUs)),
      busOnlyCpuUs: bySize((size) => median(busOnly[size])),
      shmsinkCpuUs: median(copied),
      shmsinkInPlaceCpuUs: median(inPlace),
      natsPayloadCpuUs: median(pixels),
      publishToViewUs: percentiles(plainUs),
      publishToViewPulledUs: percentiles(pulledUs),
      natsRequestUs: percentiles(requestUs),
      descriptorBytes: cost['1080p'][0]?.descriptorBytes ?? 0,
      streams64,
    };
  }
}

const percentiles = (samples: readonly number[]): Percentiles => ({
  p50: quantile(samples, 0.5),
  p99: quantile(samples, 0.99),
});
