import { credentials, status, type ChannelOptions, type Client, type ServiceError } from '@grpc/grpc-js';
import { InvalidArgumentError, Option } from 'commander';
import { existsSync } from 'node:fs';
import { loadConfig } from '../lib/config.js';
import { ERRORS, FramebusError, isErrorCode } from '../lib/errors.js';
import { hostPort } from '../lib/listen.js';
import type { ServiceKind } from '../lib/service.js';

/** Addresses where nothing else is said; the configuration's defaults. */
const DEFAULT_ADDRESSES: Readonly<Record<ServiceKind, string>> = {
  sink: '127.0.0.1:50051',
  infer: '127.0.0.1:50052',
  ingest: '127.0.0.1:50053',
};
const DEFAULT_CONFIG = 'framebus.yaml';
const MAX_MESSAGE_BYTES = 64 << 20;

/** `--address`, for commands that ask a running sink. */
export function addressOption(): Option {
  return new Option('-a, --address <host:port>', 'gRPC address of sink').default(DEFAULT_ADDRESSES.sink).argParser(parseAddress);
}

/** `--address` and `--config`, for commands that ask another service; see `serviceAddress`. */
export function serviceOptions(kind: ServiceKind): [Option, Option] {
  const address = new Option('-a, --address <host:port>', `gRPC address of ${kind} (default: ${kind}.grpc of the configuration)`);
  const config = new Option('-c, --config <file>', `configuration with ${kind}.grpc (default: ${DEFAULT_CONFIG} if there is one)`);
  return [address.argParser(parseAddress), config];
}

/** Where a service answers: as given, else as configured, else where it does by default. Throws USAGE, CONFIG_…. */
export function serviceAddress(kind: ServiceKind, { address, config }: { address?: string; config?: string }): string {
  if (address !== undefined) return address;
  if (config === undefined && !existsSync(DEFAULT_CONFIG)) return DEFAULT_ADDRESSES[kind];
  const file = config ?? DEFAULT_CONFIG;
  const { host, port } = loadConfig(file)[kind].grpc;
  if (port !== 0) return hostPort(/^(0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host, port);
  throw new FramebusError('USAGE', `${file}: ${kind}.grpc.port is 0, any that is free`, {
    remedy: 'Give --address; "framebus status" shows the addresses.',
  });
}

function parseAddress(text: string): string {
  const port = Number(/:(\d{1,5})$/.exec(text)?.[1] ?? Number.NaN);
  if (port > 0 && port <= 65_535) return text;
  throw new InvalidArgumentError('Give host:port, for example 127.0.0.1:50051.');
}

/** A constructor of ts-proto's clients. */
type ClientType<T extends Client> = new (
  address: string,
  channelCredentials: ReturnType<typeof credentials.createInsecure>,
  options: ChannelOptions,
) => T;

/** A client that notices a dead server within seconds. */
export function openClient<T extends Client>(type: ClientType<T>, address: string): T {
  return new type(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.max_reconnect_backoff_ms': 2_000,
  });
}

/** What a failed call means: our own code and remedy when the server named them. */
export function callError(error: ServiceError, address: string, service: ServiceKind = 'sink'): FramebusError {
  const [code] = error.metadata.get('framebus-code');
  if (isErrorCode(code)) {
    const [sent] = error.metadata.get('framebus-remedy-bin');
    const remedy = sent === undefined ? ERRORS[code].remedy : sent.toString();
    return new FramebusError(code, error.details.replace(`. ${remedy}`, ''), { cause: error, remedy });
  }
  // CANCELLED that we have not asked for: a server that ends cuts the calls which do not.
  if ([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED].includes(error.code)) {
    const why = /ECONNREFUSED/.test(error.details) ? 'connection refused' : error.details;
    return new FramebusError('SERVICE_UNREACHABLE', `${service} at ${address}: ${why}`, { cause: error });
  }
  return new FramebusError('SERVICE_FAILED', `${service} at ${address}: ${error.details}`, { cause: error });
}
