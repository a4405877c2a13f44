import { EXIT, type ErrorEntry } from './entry.js';

/** Errors of the frame bus and its memory. */
export const BUS_ERRORS = {
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
} as const satisfies Record<string, ErrorEntry>;
