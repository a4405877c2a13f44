import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Document } from 'yaml';
import type { NatsServer } from '../../cli/nats_server.js';
import { decodeRecord, decodeStatus } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import {
  ServiceState,
  type ServiceStatus,
  type StreamStatus,
} from '#proto/framebus/status/v1/status.js';
import { eventually } from './eventually.js';
import { lastingNatsClient, natsServer } from './nats.js';
import { runNode, type TestProcess } from './process.js';
import { tempFolder } from './temp.js';

export type ServiceName = 'ingest' | 'infer' | 'sink';

type Yaml = Record<string, unknown>;

export interface PipelineOptions {
  streams: Record<string, Yaml>;
  defaults?: Yaml;
  bus?: Yaml;
  ingest?: Yaml;
  infer?: Yaml;
  sink?: Yaml;
  models?: Yaml;
}

const ANY_PORT = { host: '127.0.0.1', port: 0 };

/** nats-server and the services as real processes on a configuration; all end with the test. */
export class Pipeline {
  nats: NatsServer;
  readonly config: string;
  readonly folder: string;
  readonly busDirectory: string;
  /** Every record that sink published, in the order of arrival. */
  readonly records: DetectionRecord[] = [];
  readonly #options: PipelineOptions;
  readonly #processes = new Map<string, TestProcess>();
  #variants = 0;
  readonly #statuses = new Map<string, ServiceStatus>();

  private constructor(nats: NatsServer, folder: string, options: PipelineOptions) {
    this.#options = options;
    this.nats = nats;
    this.folder = folder;
    this.busDirectory = join(folder, 'bus');
    this.config = this.#write('framebus.yaml', options);
  }

  /** Another configuration of the same pipeline, for a service that is started with it. */
  variant(options: Partial<PipelineOptions>): string {
    return this.#write(`framebus-${String(this.#variants++)}.yaml`, { ...this.#options, ...options });
  }

  #write(name: string, options: PipelineOptions): string {
    const file = join(this.folder, name);
    const document = new Document({
      log: { level: 'info', format: 'text' },
      bus: { directory: this.busDirectory, ...options.bus },
      nats: { url: this.nats.url },
      ingest: { http: ANY_PORT, grpc: ANY_PORT, ...options.ingest },
      infer: { http: ANY_PORT, grpc: ANY_PORT, ...options.infer },
      sink: { http: ANY_PORT, grpc: ANY_PORT, rtsp: ANY_PORT, ...options.sink },
      ...(options.models === undefined ? {} : { models: options.models }),
      ...(options.defaults === undefined ? {} : { defaults: options.defaults }),
      streams: options.streams,
    });
    writeFileSync(file, document.toString());
    return file;
  }

  /** Writes the configuration, starts nats-server, and listens to status and records. */
  static async create(options: PipelineOptions): Promise<Pipeline> {
    const pipeline = new Pipeline(await natsServer(), tempFolder(), options);
    const client = await lastingNatsClient(pipeline.nats.url);
    client.subscribe(subjects.ALL_STATUS, {
      callback: (_error, message) => {
        const status = decodeStatus(message.data);
        pipeline.#statuses.set(`${status.service}/${status.instance}`, status);
      },
    });
    client.subscribe(subjects.ALL_DETECTIONS, {
      callback: (_error, message) => pipeline.records.push(decodeRecord(message.data)),
    });
    await client.flush();
    return pipeline;
  }

  /** Kills nats-server, with all that it has in memory, and starts it anew on the same port. */
  async restartNats(): Promise<void> {
    const { pid, port } = this.nats;
    process.kill(pid, 'SIGKILL');
    await this.nats.exited;
    await this.nats.close();
    this.nats = await natsServer({ port });
  }

  /** Starts a service; `name` tells instances of one kind apart. */
  start(service: ServiceName, name = `${service}-0`, config = this.config): TestProcess {
    const process = runNode([
      `dist/services/${service}/main.js`,
      ...['--config', config, '--name', name],
    ]);
    this.#processes.set(name, process);
    return process;
  }

  /** Starts a service and waits until it says that it is running. */
  async run(service: ServiceName, name = `${service}-0`, config = this.config): Promise<TestProcess> {
    this.#statuses.delete(`${service}/${name}`);
    const process = this.start(service, name, config);
    const isRunning = (): boolean =>
      this.status(service, name)?.state === ServiceState.SERVICE_STATE_RUNNING;
    await eventually(
      () => `${name} running; it said:\n${process.stderr}`,
      () => isRunning() || process.child.exitCode !== null,
      { timeoutMs: 60_000 },
    );
    if (!isRunning()) throw new Error(`${name} has ended; it said:\n${process.stderr}`);
    return process;
  }

  /** Sink and infer first, so that no frame finds nobody. */
  async runAll(): Promise<void> {
    await Promise.all([this.run('sink'), this.run('infer')]);
    await this.run('ingest');
  }

  status(service: ServiceName, name = `${service}-0`): ServiceStatus | undefined {
    return this.#statuses.get(`${service}/${name}`);
  }

  stream(service: ServiceName, id: string): StreamStatus | undefined {
    return this.status(service)?.streams.find((stream) => stream.streamId === id);
  }

  /** Address that sink serves under this purpose. */
  address(purpose: string): string {
    const address = this.status('sink')?.addresses[purpose];
    if (address === undefined) throw new Error(`sink has no address for ${purpose}`);
    return address;
  }

  process(name: string): TestProcess {
    const process = this.#processes.get(name);
    if (process === undefined) throw new Error(`${name} was not started`);
    return process;
  }

  /** What the processes have said, for messages. */
  output(): string {
    return [...this.#processes].map(([name, p]) => `== ${name}\n${p.stderr}`).join('\n');
  }
}
