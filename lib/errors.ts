import { BUS_ERRORS } from './errors/bus_errors.js';
import { EXIT, type ErrorEntry } from './errors/entry.js';
import { EVENT_ERRORS } from './errors/event_errors.js';
import { FILE_ERRORS } from './errors/file_errors.js';
import { MEDIA_ERRORS } from './errors/media_errors.js';
import { MODEL_ERRORS } from './errors/model_errors.js';
import { RECORD_ERRORS } from './errors/record_errors.js';

export { EXIT, type ErrorEntry } from './errors/entry.js';

/** The one catalogue of errors, those of the native addon included. */
export const ERRORS = {
  // ---- what people write
  CONFIG_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Correct the lines above; framebus.example.yaml explains every key.',
  },
  CONFIG_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Give the file with --config, or copy framebus.example.yaml to framebus.yaml.',
  },
  CONFIG_UNREADABLE: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Check that the path names a file that this user may read.',
  },
  USAGE: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.usage,
    retryable: false,
    remedy: 'See --help.',
  },
  OPTION_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.usage,
    retryable: false,
    remedy: 'See the documentation of the option that the message names.',
  },

  // ---- NATS and messages
  NATS_UNREACHABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Start nats-server -js, or correct nats.url (or NATS_URL); "framebus up --nats embedded" brings its own.',
  },
  NATS_REFUSED: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.permission,
    retryable: false,
    remedy: 'Correct the user, password or token in nats.url.',
  },
  NATS_NO_JETSTREAM: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Start nats-server with -js.',
  },
  NATS_CLOSED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Restart the service; see the log before this line for the cause.',
  },
  NATS_SERVER_MISSING: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Install it (Debian: apt-get install nats-server), or set nats.url to a running one.',
  },
  NATS_SERVER_FAILED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'See its output in the message; nats.url can name a server that runs already.',
  },
  STATE_CONFLICT: {
    grpc: 'ABORTED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Look at what holds now, and make the change again.',
  },
  STATE_UNAVAILABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check that NATS runs, with -js and with room for a bucket; the log of the service says more.',
  },
  MESSAGE_VERSION: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Run the same framebus version in all services.',
  },
  MESSAGE_MALFORMED: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Find out who else publishes on this subject.',
  },

  // ---- addresses
  PORT_IN_USE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Stop the program that has the port, or choose another one in the configuration (0 takes a free one).',
  },
  NAME_IN_USE: {
    grpc: 'ALREADY_EXISTS',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Give another --name, or none: the first that is free is taken then.',
  },
  ADDRESS_UNUSABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Set the host to an address of this machine: 127.0.0.1 for local use, 0.0.0.0 for all.',
  },
  PORT_FORBIDDEN: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.permission,
    retryable: false,
    remedy: 'Choose a port from 1024 up, or give the process CAP_NET_BIND_SERVICE.',
  },
  RTSP_PORT_IN_USE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Stop the program that has the port, or set sink.rtsp.port to another one (0 takes a free one).',
  },
  RTSP_BIND: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Set sink.rtsp.host to an address of this machine.',
  },

  // ---- the program itself
  ADDON_MISSING: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Build it with "npm run build:native" ("npm run setup" does all steps).',
  },
  ADDON_UNLOADABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Build it anew for this machine with "npm run build:native".',
  },
  NOT_BUILT: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Run "npm run setup".',
  },
  SERVICE_UNREACHABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check that framebus runs ("framebus up") and that --address names its gRPC port.',
  },
  SERVICE_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.failed,
    retryable: true,
    remedy: 'See the lines of that service above.',
  },
  FILE_UNWRITABLE: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.io,
    retryable: false,
    remedy: 'Choose a path in an existing folder that this user may write.',
  },
  DEADLINE: {
    grpc: 'DEADLINE_EXCEEDED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'See the log of the part that the message names.',
  },
  SHUTTING_DOWN: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.ok,
    retryable: true,
    remedy: 'Try again when the service is back.',
  },
  CANCELLED: {
    grpc: 'CANCELLED',
    exit: EXIT.interrupted,
    retryable: true,
    remedy: 'Nothing to do: somebody asked for it.',
  },
  BAD_ARGUMENT: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: false,
    remedy: 'This is a mistake in framebus: please report it with the log.',
  },
  BAD_OPTIONS: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: false,
    remedy: 'This is a mistake in framebus: please report it with the log.',
  },
  INTERNAL: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: false,
    remedy: 'This is a mistake in framebus: please report it with the log.',
  },

  ...BUS_ERRORS,
  ...MODEL_ERRORS,
  ...MEDIA_ERRORS,
  ...RECORD_ERRORS,
  ...EVENT_ERRORS,
  ...FILE_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface FramebusErrorOptions {
  /** What went wrong below. */
  cause?: unknown;
  /** Replaces the catalogue's remedy where the place knows better. */
  remedy?: string;
}

/** An error that a person can do something about. The message reads "<object>: <cause>". */
export class FramebusError extends Error {
  override readonly name = 'FramebusError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, options: FramebusErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = ERRORS[code].retryable;
    this.remedy = options.remedy ?? ERRORS[code].remedy;
  }
}

/** Whether a string is a code of the catalogue. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** `code` of whatever was thrown: a framebus code, a system one such as `ENOENT`, or undefined. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Message of whatever was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(messageOf).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}

/** Makes a FramebusError of whatever was thrown; errors of the addon keep their code. */
export function toFramebusError(error: unknown): FramebusError {
  if (error instanceof FramebusError) return error;
  const code = codeOf(error);
  return new FramebusError(isErrorCode(code) ? code : 'INTERNAL', messageOf(error), { cause: error });
}

/**
 * What to tell people: message and remedy, two lines. A stack only for errors
 * that are not in the catalogue, because those are mistakes of ours.
 */
export function describeError(error: unknown): string {
  const known = toFramebusError(error);
  if (known.code === 'INTERNAL' && !(error instanceof FramebusError) && error instanceof Error) {
    return `${error.stack ?? error.message}\n  ${known.remedy}`;
  }
  return `${known.message}\n  ${known.remedy}`;
}

/** Exit code of a process that ends with this error. */
export function exitCodeOf(error: unknown): number {
  return ERRORS[toFramebusError(error).code].exit;
}
