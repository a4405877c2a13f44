import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeStatus } from '../../lib/messages.js';
import type { NatsConnection } from '../../lib/nats.js';
import { PACKAGE_ROOT } from '../../lib/package_root.js';
import * as subjects from '../../lib/subjects.js';
import { ServiceState, type ServiceStatus } from '#proto/framebus/status/v1/status.js';

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 5_000;

export interface SinkProcessOptions {
  /** For its configuration, and the bus. */
  folder: string;
  natsUrl: string;
  /** As in framebus.yaml. */
  streams: Record<string, object>;
}

/** Folder of the sockets of a sink's producers. */
export const busDirectory = (folder: string): string => path.join(folder, 'bus');

/** The real sink, as a process of its own; it ends with this one. */
export class SinkProcess {
  readonly #child: ChildProcess;
  #status: ServiceStatus | null = null;

  private constructor(child: ChildProcess, nats: NatsConnection) {
    this.#child = child;
    nats.subscribe(subjects.ALL_STATUS, {
      callback: (_error, message) => {
        const status = decodeStatus(message.data);
        if (status.service === 'sink') this.#status = status;
      },
    });
  }

  /** Resolves when it runs. */
  static async start({ folder, natsUrl, streams }: SinkProcessOptions, nats: NatsConnection): Promise<SinkProcess> {
    const config = path.join(folder, 'framebus.yaml');
    const any = { port: 0 };
    writeFileSync(
      config,
      // JSON is YAML.
      JSON.stringify({
        log: { level: 'warn' },
        bus: { directory: busDirectory(folder) },
        nats: { url: natsUrl },
        sink: { http: any, grpc: any, rtsp: any, records: { max_bytes: '256MiB' } },
        streams,
      }),
    );
    const main = path.join(PACKAGE_ROOT, 'dist', 'services', 'sink', 'main.js');
    const environment = { ...process.env };
    delete environment['NATS_URL'];
    const child = spawn(process.execPath, [main, '--config', config], { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
    process.once('exit', () => child.kill('SIGKILL'));
    const sink = new SinkProcess(child, nats);
    await sink.#running();
    return sink;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it said of itself last, within a second. */
  get status(): ServiceStatus {
    if (this.#status === null) throw new Error('sink has not said anything yet');
    return this.#status;
  }

  /** Where it serves, by purpose: "grpc", "rtsp", "http". */
  address(purpose: string): string {
    return this.status.addresses[purpose] ?? '';
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await exit;
    clearTimeout(timer);
  }

  async #running(): Promise<void> {
    const deadline = performance.now() + START_DEADLINE_MS;
    while (this.#status?.state !== ServiceState.SERVICE_STATE_RUNNING) {
      if (this.#child.exitCode !== null) throw new Error(`sink ended with ${this.#child.exitCode} before it ran`);
      if (performance.now() > deadline) throw new Error('sink does not run; see what it said');
      await sleep(50);
    }
  }
}
