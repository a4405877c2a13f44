import type { Command } from 'commander';
import { disableOnnxTelemetry } from '../lib/onnx_telemetry.js';
import { runService, type ServiceKind, type StartService } from '../lib/service.js';

/** How each service starts; loaded only when it is asked for, because the addon and the engine are large. */
const STARTS: Readonly<Record<ServiceKind, () => Promise<StartService>>> = {
  ingest: async () => (await import('../services/ingest/ingest.js')).startIngest,
  infer: async () => {
    // As services/infer/main.ts does, before the engine is loaded.
    disableOnnxTelemetry();
    return (await import('../services/infer/infer.js')).startInfer;
  },
  sink: async () => (await import('../services/sink/sink.js')).startSink,
};

const DESCRIPTIONS: Readonly<Record<ServiceKind, string>> = {
  ingest: 'Run the service that decodes streams and owns the frame memory',
  infer: 'Run a worker that detects; start more for more throughput',
  sink: 'Run the service that orders, draws, encodes and serves',
};

interface ServiceCommandOptions {
  config: string;
  name?: string;
  httpPort?: string;
  grpcPort?: string;
}

/** Adds `framebus ingest`, `framebus infer` and `framebus sink`. */
export function registerServices(program: Command): void {
  for (const kind of ['ingest', 'infer', 'sink'] as const) {
    program
      .command(kind)
      .description(DESCRIPTIONS[kind])
      .option('-c, --config <file>', 'configuration', 'framebus.yaml')
      .option('--name <name>', `name of this instance (default: ${kind}.name of the configuration)`)
      .option('--http-port <port>', `port of /metrics and health (default: ${kind}.http.port)`)
      .option('--grpc-port <port>', `port of the gRPC services (default: ${kind}.grpc.port)`)
      .addHelpText('after', examples(kind))
      .action(async (options: ServiceCommandOptions) => {
        process.exitCode = await run(kind, options);
      });
  }
}

function examples(kind: ServiceKind): string {
  const second =
    kind === 'infer'
      ? '\n  framebus infer -c framebus.yaml    the same once more: a second worker, under a name and on ports that are free'
      : '';
  return `\nExamples:\n  framebus ${kind} -c framebus.yaml${second}`;
}

function run(kind: ServiceKind, { config, name, httpPort, grpcPort }: ServiceCommandOptions): Promise<number> {
  const argv = ['--config', config];
  if (name !== undefined) argv.push('--name', name);
  if (httpPort !== undefined) argv.push('--http-port', httpPort);
  if (grpcPort !== undefined) argv.push('--grpc-port', grpcPort);
  const start: StartService = async (context) => (await STARTS[kind]())(context);
  return runService(kind, start, { argv });
}
