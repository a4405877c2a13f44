import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServer } from '../../cli/nats_server.js';
import { connectNatsOnce } from '../../lib/nats.js';
import { PRODUCER } from '../bus/bus_options.js';
import { Peer } from '../bus/peer.js';
import { quantile } from '../bus/quantile.js';
import { busDirectory, SinkProcess } from '../sink/sink_process.js';
import { Feeder } from './feeder.js';
import type { Subscribers } from './subscribers.js';

export interface SubscribeMeasurementOptions {
  folder: string;
  subscribers: number;
  /** Length of the live part. */
  seconds: number;
  say: (text: string) => void;
}

export interface SubscribeFigures {
  subscribers: number;
  /** Records of all streams a second, before they are multiplied. */
  offeredPerSecond: number;
  /** Received by all subscribers together, live. */
  recordsPerSecond: number;
  missed: number;
  latencyMs: { p50: number; p99: number };
  /** Received by all together when all read from the store. */
  storedRecordsPerSecond: number;
}

const STREAMS = ['s0', 's1', 's2', 's3'];
const PER_SECOND = 25 * STREAMS.length;
const WARM_UP_MS = 2_000;
const READ_DEADLINE_MS = 120_000;

export async function measureSubscribe(options: SubscribeMeasurementOptions): Promise<SubscribeFigures> {
  const { folder } = options;
  const nats = await NatsServer.start({ directory: folder });
  const connection = await connectNatsOnce(nats.url, 'bench-subscribe');
  const feeder = new Feeder(busDirectory(folder), connection, STREAMS);
  const streams = Object.fromEntries(STREAMS.map((id) => [id, { source: `bus://${PRODUCER}` }]));
  const sink = await SinkProcess.start({ folder, natsUrl: nats.url, streams }, connection);
  try {
    const subscribers = await Peer.start<Subscribers>('../subscribe/subscribers', [sink.address('grpc')]);
    try {
      return await measure(options, feeder, subscribers);
    } finally {
      await subscribers.close();
    }
  } finally {
    await sink.stop();
    await feeder.close();
    await connection.close();
    await nats.close();
  }
}

async function measure(
  { subscribers: count, seconds, say }: SubscribeMeasurementOptions,
  feeder: Feeder,
  subscribers: Peer<Subscribers>,
): Promise<SubscribeFigures> {
  await subscribers.ask('open', count, false);
  feeder.start(PER_SECOND);
  await sleep(WARM_UP_MS);
  await subscribers.ask('take');
  const published = feeder.published;
  const liveMs = await timed(() => sleep(seconds * 1_000));
  const offered = feeder.published - published;
  const live = await subscribers.ask('take');
  say(`live: ${live.records} records in ${(liveMs / 1_000).toFixed(1)} s`);
  feeder.stop();
  await sleep(1_000);
  await subscribers.ask('close');
  const readMs = await timed(async () => {
    await subscribers.ask('open', count, true);
    const deadline = performance.now() + READ_DEADLINE_MS;
    while ((await subscribers.ask('fewest')) < feeder.published) {
      if (performance.now() > deadline) throw new Error('stored records: not all were read in time');
      await sleep(5);
    }
  });
  const stored = await subscribers.ask('take');
  say(`stored: ${stored.records} records in ${(readMs / 1_000).toFixed(1)} s`);
  await subscribers.ask('close');
  return {
    subscribers: count,
    offeredPerSecond: (offered * 1_000) / liveMs,
    recordsPerSecond: (live.records * 1_000) / liveMs,
    missed: live.missed,
    latencyMs: { p50: quantile(live.latenciesMs, 0.5), p99: quantile(live.latenciesMs, 0.99) },
    storedRecordsPerSecond: (stored.records * 1_000) / readMs,
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}
