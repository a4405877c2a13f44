import { credentials, status, type ChannelOptions, type Client, type ServiceError } from '@grpc/grpc-js';
import { InvalidArgumentError, Option } from 'commander';
import { ERRORS, FramebusError, isErrorCode } from '../lib/errors.js';

/** Address of the sink where nothing else is said; the configuration's default. */
const DEFAULT_ADDRESS = '127.0.0.1:50051';
const MAX_MESSAGE_BYTES = 64 << 20;

/** `--address`, for commands that ask a running sink. */
export function addressOption(): Option {
  return new Option('-a, --address <host:port>', 'gRPC address of sink').default(DEFAULT_ADDRESS).argParser(parseAddress);
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

/** What a failed call means: our own code when the server named one. */
export function callError(error: ServiceError, address: string): FramebusError {
  const [code] = error.metadata.get('framebus-code');
  if (isErrorCode(code)) {
    const { remedy } = ERRORS[code];
    return new FramebusError(code, error.details.replace(`. ${remedy}`, ''), { cause: error });
  }
  // CANCELLED that we have not asked for: a server that ends cuts the calls which do not.
  if ([status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.CANCELLED].includes(error.code)) {
    const why = /ECONNREFUSED/.test(error.details) ? 'connection refused' : error.details;
    return new FramebusError('SERVICE_UNREACHABLE', `sink at ${address}: ${why}`, { cause: error });
  }
  return new FramebusError('SERVICE_FAILED', `sink at ${address}: ${error.details}`, { cause: error });
}
