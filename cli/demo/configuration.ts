import { stringify } from 'yaml';
import type { DemoStream } from './streams.js';

const HOST = '127.0.0.1';

/** What differs from one demo to the next. */
export interface DemoConfiguration {
  natsUrl: string;
  busDirectory: string;
  /** Folder of the model's manifest, and its name there. */
  model: { directory: string; name: string };
  /** Ports of sink; 0 takes a free one. */
  ports: { rtsp: number; grpc: number; page: number };
  streams: readonly DemoStream[];
}

/** The configuration file that the demo's services get. */
export function demoConfiguration(demo: DemoConfiguration): string {
  const { ports, streams, model } = demo;
  return stringify({
    // The demo shows states and numbers itself; the services only say what is wrong.
    log: { level: 'warn', format: 'text' },
    bus: { directory: demo.busDirectory },
    nats: { url: demo.natsUrl },
    ingest: { http: { host: HOST, port: 0 }, grpc: { host: HOST, port: 0 } },
    infer: { http: { host: HOST, port: 0 }, grpc: { host: HOST, port: 0 } },
    sink: {
      http: { host: HOST, port: ports.page },
      grpc: { host: HOST, port: ports.grpc },
      rtsp: { host: HOST, port: ports.rtsp },
    },
    models: { directory: model.directory },
    defaults: { model: model.name },
    streams: Object.fromEntries(streams.map(({ id, source, loop }) => [id, { source, loop }])),
  });
}
