import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'nats';
import { NatsServer } from '../../cli/nats_server.js';
import { decodeResult, decodeStatus } from '../../lib/messages.js';
import { PACKAGE_ROOT } from '../../lib/package_root.js';
import * as subjects from '../../lib/subjects.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { processCpuSeconds } from './command_cpu.js';

export interface PipelineCpuOptions {
  clip: string;
  model: string;
  /** How long to measure, after a few seconds of warm-up. */
  seconds: number;
  folder: string;
}

export interface PipelineCpu {
  /** Frames decoded, inferred, drawn and encoded while it was measured. */
  frames: number;
  /** All processes, nats-server included. */
  cpuMsPerFrame: number;
  services: Record<string, number>;
  width: number;
  height: number;
  /** Frames in a batch, on the average. */
  meanBatch: number;
}

const SERVICES = ['sink', 'infer', 'ingest'] as const;
const WARM_UP_MS = 4_000;
const START_TRIES = 600;

/** Plays the clip again and again, lossless and as fast as it goes, through real services. */
export async function pipelineCpu(options: PipelineCpuOptions): Promise<PipelineCpu> {
  const nats = await NatsServer.start({ directory: options.folder });
  const children = new Map<string, ChildProcess>();
  try {
    const config = writeConfig(options, nats.url);
    for (const service of SERVICES) children.set(service, startService(service, config));
    return await measure(options, nats, children);
  } finally {
    for (const child of children.values()) {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    await nats.close();
  }
}

function writeConfig({ clip, model, folder }: PipelineCpuOptions, natsUrl: string): string {
  const ports = { http: { port: 0 }, grpc: { port: 0 } };
  const config = path.join(folder, 'framebus.yaml');
  writeFileSync(
    config,
    // JSON is YAML.
    JSON.stringify({
      log: { level: 'warn' },
      bus: { directory: path.join(folder, 'bus') },
      nats: { url: natsUrl },
      ingest: ports,
      infer: ports,
      sink: { ...ports, rtsp: { port: 0 } },
      streams: { clip: { source: clip, loop: true, pace: 'fast', mode: 'lossless', model } },
    }),
  );
  return config;
}

function startService(service: string, config: string): ChildProcess {
  const main = path.join(PACKAGE_ROOT, 'dist', 'services', service, 'main.js');
  return spawn(process.execPath, [main, '--config', config], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

async function measure(
  { seconds }: PipelineCpuOptions,
  nats: NatsServer,
  children: ReadonlyMap<string, ChildProcess>,
): Promise<PipelineCpu> {
  const connection = await connect({ servers: nats.url });
  try {
    const statuses = new Map<string, ServiceStatus>();
    connection.subscribe(subjects.ALL_STATUS, {
      callback: (_error, message) => {
        const status = decodeStatus(message.data);
        statuses.set(status.service, status);
      },
    });
    // Counted on the bus itself, so that frames and CPU are read at the same moment.
    const seen = { frames: 0, batched: 0 };
    connection.subscribe(subjects.ALL_RESULTS, {
      callback: (_error, message) => {
        const result = decodeResult(message.data);
        if (result.status !== InferenceStatus.INFERENCE_STATUS_INFERRED) return;
        seen.frames += 1;
        seen.batched += 1 / result.batchSize;
      },
    });
    await flowing(() => seen.frames > 0 && sinkStream(statuses)?.width !== 0);
    await sleep(WARM_UP_MS);
    return await sample(seconds, nats.pid, children, seen, statuses);
  } finally {
    await connection.close();
  }
}

const sinkStream = (statuses: ReadonlyMap<string, ServiceStatus>) =>
  statuses.get('ingest')?.streams[0];

async function flowing(ready: () => boolean): Promise<void> {
  for (let i = 0; i < START_TRIES; i++) {
    if (ready()) return;
    await sleep(100);
  }
  throw new Error('no frame came through the pipeline; see what the services said');
}

async function sample(
  seconds: number,
  natsPid: number,
  children: ReadonlyMap<string, ChildProcess>,
  seen: { frames: number; batched: number },
  statuses: ReadonlyMap<string, ServiceStatus>,
): Promise<PipelineCpu> {
  const pids = new Map([...children].map(([name, child]) => [name, child.pid ?? 0]));
  pids.set('nats', natsPid);
  const read = (): Map<string, number> =>
    new Map([...pids].map(([name, pid]) => [name, processCpuSeconds(pid)]));
  const before = { cpu: read(), ...seen };
  await sleep(seconds * 1000);
  const after = { cpu: read(), ...seen };
  const frames = after.frames - before.frames;
  const services = Object.fromEntries(
    [...after.cpu].map(([name, cpu]) => [name, ((cpu - (before.cpu.get(name) ?? 0)) / frames) * 1000]),
  );
  const stream = sinkStream(statuses);
  return {
    frames,
    services,
    cpuMsPerFrame: Object.values(services).reduce((a, b) => a + b, 0),
    width: stream?.width ?? 0,
    height: stream?.height ?? 0,
    meanBatch: frames / (after.batched - before.batched),
  };
}
