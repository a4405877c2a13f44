import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServer } from '../../cli/nats_server.js';
import { connectNatsOnce } from '../../lib/nats.js';
import { Peer } from '../bus/peer.js';
import { median, quantile } from '../bus/quantile.js';
import { BareEncoder, type EncodeSettings } from './bare_encoder.js';
import { clipPictures } from './clip_pictures.js';
import type { Fed, Feeder } from './feeder.js';
import { joinMs } from './rtsp_join.js';
import { busDirectory, SinkProcess } from './sink_process.js';
import { cpuBetween, threadCpu, type ThreadCpu } from './thread_cpu.js';
import { Viewers } from './viewers.js';

export interface SinkMeasurementOptions {
  folder: string;
  clip: string;
  width: number;
  height: number;
  /** Pictures of the clip that are shown again and again. */
  pictures: number;
  encode: EncodeSettings;
  effort: { warmUpSeconds: number; blocks: number; blockSeconds: number; viewerBlocks: number; viewerSeconds: number; joins: number };
  say: (text: string) => void;
}

/** Medians over the blocks. */
export interface SinkFigures {
  width: number;
  height: number;
  sinkFps: number;
  bareFps: number;
  ratio: number;
  /** Sink's CPU a frame, in microseconds: its encoder's threads, and all others. */
  cpuUs: { encoder: number; rest: number };
  osdUsPerFrame: number;
  /** Sink's CPU a frame with so many viewers, in microseconds. */
  viewersCpuUs: { one: number; ten: number };
  viewersRatio: number;
  joinsMs: number[];
}

/** Every frame is taken: these are sink's limits. `drawn` has no tracker, so that boxes cost what drawing them costs. */
const STREAMS = {
  all: { source: '/fed.mp4', mode: 'lossless' },
  drawn: { source: '/fed.mp4', mode: 'lossless', tracker: { kind: 'none' } },
  live: { source: '/fed.mp4' },
};
/** What is in the sink when feeding stops comes out meanwhile. */
const DRAIN_MS = 500;
const PROBE_FRAMES = 60;
const MANY_VIEWERS = 10;
/** Joins begin anywhere between two keyframes. */
const MOST_BETWEEN_JOINS_MS = 700;

export async function measureSink(options: SinkMeasurementOptions): Promise<SinkFigures> {
  const { folder, clip, width, height } = options;
  const pictures = await clipPictures(clip, { folder: path.join(folder, 'pictures'), width, height, count: options.pictures });
  const nats = await NatsServer.start({ directory: folder });
  const connection = await connectNatsOnce(nats.url, 'bench-sink');
  try {
    const sink = await SinkProcess.start({ folder, natsUrl: nats.url, streams: STREAMS }, connection);
    const feeder = await Peer.start<Feeder>('../sink/feeder', [
      ...[busDirectory(folder), nats.url, pictures.folder],
      ...[width, height, pictures.count].map(String),
    ]);
    try {
      const rig = new Rig(options, sink, feeder);
      const rates = await rig.rates(new BareEncoder(pictures, options.encode));
      const figures = { ...rates, osdUsPerFrame: await rig.osd(), ...(await rig.live()), width, height };
      expectNoLoss(sink);
      return figures;
    } finally {
      await sink.stop();
      await feeder.close();
    }
  } finally {
    await connection.close();
    await nats.close();
  }
}

/** A sink that is fed, and what is read of it. */
class Rig {
  readonly #options: SinkMeasurementOptions;
  readonly #sink: SinkProcess;
  readonly #feeder: Peer<Feeder>;

  constructor(options: SinkMeasurementOptions, sink: SinkProcess, feeder: Peer<Feeder>) {
    this.#options = options;
    this.#sink = sink;
    this.#feeder = feeder;
  }

  /** Blocks of the sink, as fast as it takes frames, and of the bare encoder in turn. */
  async rates(encoder: BareEncoder): Promise<Pick<SinkFigures, 'sinkFps' | 'bareFps' | 'ratio' | 'cpuUs'>> {
    const { blocks, blockSeconds } = this.#options.effort;
    const probed = await encoder.framesPerSecond(PROBE_FRAMES);
    const [bare, sink]: [number[], number[]] = [[], []];
    const cpuUs: { encoder: number[]; rest: number[] } = { encoder: [], rest: [] };
    for (let block = 0; block < blocks; block++) {
      bare.push(await encoder.framesPerSecond(Math.ceil(probed * blockSeconds)));
      const { frames, seconds, cpu } = await this.#flood('all', true, blockSeconds);
      sink.push(frames / seconds);
      cpuUs.encoder.push(cpu.encoderUs / frames);
      cpuUs.rest.push((cpu.allUs - cpu.encoderUs) / frames);
      this.#options.say(`  block ${block + 1} of ${blocks}: encoder ${bare.at(-1)?.toFixed(1)}/s, sink ${sink.at(-1)?.toFixed(1)}/s`);
    }
    const [sinkFps, bareFps] = [median(sink), median(bare)];
    return { sinkFps, bareFps, ratio: sinkFps / bareFps, cpuUs: { encoder: median(cpuUs.encoder), rest: median(cpuUs.rest) } };
  }

  /** CPU microseconds a frame that boxes cost, the encoder left out: blocks with and without them in turn. */
  async osd(): Promise<number> {
    const { blocks, blockSeconds } = this.#options.effort;
    const differences: number[] = [];
    for (let block = 0; block < blocks; block++) {
      const [without, with_] = [await this.#flood('drawn', false, blockSeconds), await this.#flood('drawn', true, blockSeconds)];
      const [before, after] = [without, with_].map(({ frames, cpu }) => (cpu.allUs - cpu.encoderUs) / frames);
      differences.push((after ?? 0) - (before ?? 0));
      this.#options.say(`  boxes: ${before?.toFixed(0)} µs a frame without, ${after?.toFixed(0)} with`);
    }
    return median(differences);
  }

  /** One viewer and ten, in turn, at the pace of a camera; then joins. */
  async live(): Promise<Pick<SinkFigures, 'viewersCpuUs' | 'viewersRatio' | 'joinsMs'>> {
    const { warmUpSeconds, viewerBlocks, viewerSeconds, joins } = this.#options.effort;
    const url = `${this.#sink.address('rtsp')}/live`;
    const viewers = new Viewers(url, `${this.#sink.address('http')}/metrics`);
    await this.#feeder.ask('start', 'live', 'paced', true);
    await sleep(warmUpSeconds * 1000);
    const cpu = { one: [] as number[], ten: [] as number[] };
    for (let block = 0; block < viewerBlocks; block++) {
      for (const [name, count] of [['one', 1], ['ten', MANY_VIEWERS]] as const) {
        await viewers.set(count);
        await sleep(warmUpSeconds * 1000);
        const { frames, cpu: used } = await this.#counted(viewerSeconds);
        cpu[name].push(used.allUs / frames);
      }
      this.#options.say(`  viewers: ${cpu.one.at(-1)?.toFixed(0)} µs a frame with one, ${cpu.ten.at(-1)?.toFixed(0)} with ten`);
    }
    const joinsMs: number[] = [];
    for (let join = 0; join < joins; join++) {
      // Half of them are alone, half find somebody there.
      await viewers.set(join < joins / 2 ? 0 : 1);
      await sleep(Math.random() * MOST_BETWEEN_JOINS_MS);
      joinsMs.push(await joinMs(url));
    }
    await viewers.set(0);
    await this.#feeder.ask('stop');
    const viewersCpuUs = { one: median(cpu.one), ten: median(cpu.ten) };
    this.#options.say(`  joins: ${quantile(joinsMs, 0.5).toFixed(0)} ms`);
    return { viewersCpuUs, viewersRatio: viewersCpuUs.ten / viewersCpuUs.one, joinsMs };
  }

  async #flood(streamId: keyof typeof STREAMS, withBoxes: boolean, seconds: number): Promise<Fed & { cpu: ThreadCpu }> {
    await this.#feeder.ask('start', streamId, 'fast', withBoxes);
    await sleep(this.#options.effort.warmUpSeconds * 1000);
    const fed = await this.#counted(seconds);
    await this.#feeder.ask('stop');
    await sleep(DRAIN_MS);
    return fed;
  }

  async #counted(seconds: number): Promise<Fed & { cpu: ThreadCpu }> {
    const before = threadCpu(this.#sink.pid);
    const fed = await this.#feeder.ask('count', seconds);
    return { ...fed, cpu: cpuBetween(before, threadCpu(this.#sink.pid)) };
  }
}

/** A frame that was fed and not encoded would count as work that was done. */
function expectNoLoss({ status }: SinkProcess): void {
  for (const { streamId, drops } of status.streams) {
    if (streamId === 'live') continue;
    if (Object.keys(drops).length > 0) throw new Error(`sink has lost frames of ${streamId}: ${JSON.stringify(drops, (_, value: unknown) => String(value))}`);
  }
}
