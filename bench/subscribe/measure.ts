import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServer } from '../../cli/nats_server.js';
import { decodeStatus } from '../../lib/messages.js';
import { connectNatsOnce, type NatsConnection } from '../../lib/nats.js';
import { PACKAGE_ROOT } from '../../lib/package_root.js';
import * as subjects from '../../lib/subjects.js';
import { ServiceState } from '#proto/framebus/status/v1/status.js';
import { PRODUCER } from '../bus/bus_options.js';
import { Peer } from '../bus/peer.js';
import { quantile } from '../bus/quantile.js';
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
const START_DEADLINE_MS = 60_000;
const READ_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 5_000;

export async function measureSubscribe(options: SubscribeMeasurementOptions): Promise<SubscribeFigures> {
  const { folder } = options;
  const nats = await NatsServer.start({ directory: folder });
  const connection = await connectNatsOnce(nats.url, 'bench-subscribe');
  const directory = path.join(folder, 'bus');
  const feeder = new Feeder(directory, connection, STREAMS);
  const sink = startSink(folder, directory, nats.url);
  try {
    const address = await sinkAddress(connection, sink);
    const subscribers = await Peer.start<Subscribers>('../subscribe/subscribers', [address]);
    try {
      return await measure(options, feeder, subscribers);
    } finally {
      await subscribers.close();
    }
  } finally {
    await stop(sink);
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

function startSink(folder: string, directory: string, natsUrl: string): ChildProcess {
  const config = path.join(folder, 'framebus.yaml');
  const streams = Object.fromEntries(STREAMS.map((id) => [id, { source: `bus://${PRODUCER}` }]));
  writeFileSync(
    config,
    // JSON is YAML.
    JSON.stringify({
      log: { level: 'warn' },
      bus: { directory },
      nats: { url: natsUrl },
      sink: { http: { port: 0 }, grpc: { port: 0 }, rtsp: { port: 0 }, records: { max_bytes: '256MiB' } },
      streams,
    }),
  );
  const main = path.join(PACKAGE_ROOT, 'dist', 'services', 'sink', 'main.js');
  const environment = { ...process.env };
  delete environment['NATS_URL'];
  const sink = spawn(process.execPath, [main, '--config', config], { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  process.once('exit', () => sink.kill('SIGKILL'));
  return sink;
}

/** Waits until sink runs, and says where. */
async function sinkAddress(nats: NatsConnection, sink: ChildProcess): Promise<string> {
  let address: string | undefined;
  const subscription = nats.subscribe(subjects.ALL_STATUS, {
    callback: (_error, message) => {
      const { state, addresses } = decodeStatus(message.data);
      if (state === ServiceState.SERVICE_STATE_RUNNING) address = addresses['grpc'];
    },
  });
  const deadline = performance.now() + START_DEADLINE_MS;
  while (address === undefined) {
    if (sink.exitCode !== null) throw new Error(`sink ended with ${sink.exitCode} before it ran`);
    if (performance.now() > deadline) throw new Error('sink does not run; see what it said');
    await sleep(50);
  }
  subscription.unsubscribe();
  return address;
}

async function stop(sink: ChildProcess): Promise<void> {
  if (sink.exitCode !== null || sink.signalCode !== null) return;
  const exit = once(sink, 'exit');
  sink.kill('SIGTERM');
  const timer = setTimeout(() => sink.kill('SIGKILL'), STOP_DEADLINE_MS);
  await exit;
  clearTimeout(timer);
}
