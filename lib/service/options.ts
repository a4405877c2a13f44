import { parseArgs } from 'node:util';
import { FramebusError, messageOf } from '../errors.js';
import { NAME } from '../subjects.js';

/** What the command line of a service says. */
export interface ServiceOptions {
  /** Configuration file. */
  config: string;
  /** Replaces the configured name of the instance. */
  name?: string;
  /** Replaces the configured HTTP port. */
  httpPort?: number;
  /** Replaces the configured gRPC port. */
  grpcPort?: number;
}

const USAGE = 'Options: --config FILE, --name NAME, --http-port PORT, --grpc-port PORT.';

/** Reads `--config FILE --name NAME --http-port PORT --grpc-port PORT`. Throws USAGE. */
export function parseServiceArguments(argv: readonly string[]): ServiceOptions {
  let values: { config?: string; name?: string; 'http-port'?: string; 'grpc-port'?: string };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string', short: 'c' },
        name: { type: 'string' },
        'http-port': { type: 'string' },
        'grpc-port': { type: 'string' },
      },
    }));
  } catch (error) {
    throw new FramebusError('USAGE', messageOf(error), { cause: error, remedy: USAGE });
  }
  const { name } = values;
  if (name !== undefined && !NAME.test(name)) {
    throw new FramebusError('USAGE', `--name ${name}: must be 1 to 64 of A-Z a-z 0-9 _ -`);
  }
  const { 'http-port': httpPort, 'grpc-port': grpcPort } = values;
  return {
    config: values.config ?? 'framebus.yaml',
    ...(name === undefined ? {} : { name }),
    ...(httpPort === undefined ? {} : { httpPort: parsePort('--http-port', httpPort) }),
    ...(grpcPort === undefined ? {} : { grpcPort: parsePort('--grpc-port', grpcPort) }),
  };
}

function parsePort(option: string, text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new FramebusError('USAGE', `${option} ${text}: must be a number from 0 to 65535`);
}
