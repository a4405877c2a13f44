import { EXIT, type ErrorEntry } from './entry.js';

/** Errors of files that a command makes of files. */
export const FILE_ERRORS = {
  FILE_EXISTS: {
    grpc: 'ALREADY_EXISTS',
    exit: EXIT.io,
    retryable: false,
    remedy: 'Give another name, or --force to write over it.',
  },
  SOUND_UNSUPPORTED: {
    grpc: 'UNIMPLEMENTED',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Let --out end in .mkv, which holds most formats, or give --no-audio.',
  },
  FRAMES_MISSING: {
    grpc: 'DATA_LOSS',
    exit: EXIT.failed,
    retryable: true,
    remedy: 'See what the services said above; try again when the machine has less to do.',
  },
  JOIN_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: false,
    remedy: 'See the cause in the message; --no-audio leaves out the sound, which may be what it is about.',
  },
} as const satisfies Record<string, ErrorEntry>;
