import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServer } from '../../cli/nats_server.js';
import { decodeResult, decodeStatus } from '../../lib/messages.js';
import { connectNatsOnce, type NatsConnection } from '../../lib/nats.js';
import { PACKAGE_ROOT } from '../../lib/package_root.js';
import * as subjects from '../../lib/subjects.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ResultMessage } from '#proto/framebus/result/v1/result.js';
import { ServiceState } from '#proto/framebus/status/v1/status.js';
import { PRODUCER } from '../bus/bus_options.js';
import { Peer } from '../bus/peer.js';
import type { Feeder } from './feeder.js';
import { serviceFigures, type ServiceFigures } from './service_figures.js';

export interface InferRigOptions {
  folder: string;
  /** Name of the model, and folder of its manifest and of the model files. */
  model: string;
  manifests: string;
  cache: string;
  batch: number;
  threads: number;
  /** A clip of which the first picture is shown. */
  clip: string;
}

/** Twice a batch and more, so that no batch waits for a stream. */
const STREAMS_PER_BATCH_FRAME = 3;
const LEAST_STREAMS = 8;
const START_DEADLINE_MS = 60_000;
const WARM_UP_MS = 1_000;
const STOP_DEADLINE_MS = 5_000;

/** nats-server, the real service as a process, and a feeder that gives it more than it can do. */
export class InferRig {
  readonly #nats: NatsServer;
  readonly #connection: NatsConnection;
  readonly #service: ChildProcess;
  readonly #feeder: Peer<Feeder>;
  #results: ResultMessage[] | null = null;
  frameSize = { width: 0, height: 0 };

  private constructor(nats: NatsServer, connection: NatsConnection, service: ChildProcess, feeder: Peer<Feeder>) {
    this.#nats = nats;
    this.#connection = connection;
    this.#service = service;
    this.#feeder = feeder;
    connection.subscribe(subjects.ALL_RESULTS, {
      callback: (_error, message) => this.#results?.push(decodeResult(message.data)),
    });
  }

  static async start(options: InferRigOptions): Promise<InferRig> {
    const directory = path.join(options.folder, 'bus');
    mkdirSync(directory, { mode: 0o750, recursive: true });
    const nats = await NatsServer.start({ directory: options.folder });
    const connection = await connectNatsOnce(nats.url, 'bench-infer');
    const streams = streamNames(options.batch);
    const service = startService(options, streams, nats.url);
    await running(connection, service);
    const feeder = await Peer.start<Feeder>('../infer/feeder', [directory, nats.url, options.clip, options.model]);
    const rig = new InferRig(nats, connection, service, feeder);
    rig.frameSize = await feeder.ask('open', streams);
    return rig;
  }

  /** Feeds so many frames a second, and measures what comes out once it flows. */
  async block(perSecond: number, seconds: number): Promise<ServiceFigures> {
    await this.#feeder.ask('start', perSecond);
    await sleep(WARM_UP_MS);
    const results: ResultMessage[] = [];
    this.#results = results;
    await sleep(seconds * 1000);
    this.#results = null;
    await this.#feeder.ask('stop');
    return serviceFigures(results.filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_INFERRED));
  }

  async close(): Promise<void> {
    if (this.#service.exitCode === null && this.#service.signalCode === null) {
      const exit = once(this.#service, 'exit');
      this.#service.kill('SIGTERM');
      const timer = setTimeout(() => this.#service.kill('SIGKILL'), STOP_DEADLINE_MS);
      await exit;
      clearTimeout(timer);
    }
    await this.#feeder.close();
    await this.#connection.close();
    await this.#nats.close();
  }
}

function streamNames(batch: number): string[] {
  const count = Math.max(LEAST_STREAMS, batch * STREAMS_PER_BATCH_FRAME);
  return Array.from({ length: count }, (_, index) => `s${index}`);
}

function startService(options: InferRigOptions, streams: readonly string[], natsUrl: string): ChildProcess {
  const { folder, model, batch, threads } = options;
  const config = path.join(folder, 'framebus.yaml');
  const names = Object.fromEntries(streams.map((stream) => [stream, { source: `bus://${PRODUCER}`, model }]));
  writeFileSync(
    config,
    // JSON is YAML.
    JSON.stringify({
      log: { level: 'warn' },
      bus: { directory: path.join(folder, 'bus') },
      nats: { url: natsUrl },
      models: { directory: options.manifests, cache: options.cache },
      infer: { http: { port: 0 }, grpc: { port: 0 }, batch: { size: batch }, threads },
      streams: names,
    }),
  );
  const main = path.join(PACKAGE_ROOT, 'dist', 'services', 'infer', 'main.js');
  const environment = { ...process.env };
  // It would take the place of models.cache.
  delete environment['FRAMEBUS_CACHE'];
  delete environment['NATS_URL'];
  const service = spawn(process.execPath, [main, '--config', config], { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  process.once('exit', () => service.kill('SIGKILL'));
  return service;
}

/** Waits until the service says that it runs. */
async function running(nats: NatsConnection, service: ChildProcess): Promise<void> {
  const seen = { running: false };
  const subscription = nats.subscribe(subjects.ALL_STATUS, {
    callback: (_error, message) => (seen.running ||= decodeStatus(message.data).state === ServiceState.SERVICE_STATE_RUNNING),
  });
  const deadline = performance.now() + START_DEADLINE_MS;
  while (!seen.running) {
    if (service.exitCode !== null) throw new Error(`infer ended with ${service.exitCode} before it ran`);
    if (performance.now() > deadline) throw new Error('infer does not run; see what it said');
    await sleep(50);
  }
  subscription.unsubscribe();
}
