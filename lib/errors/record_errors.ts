import { EXIT, type ErrorEntry } from './entry.js';

/** Errors of stored records and of those who read them. */
export const RECORD_ERRORS = {
  RECORDS_OFF: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Set sink.records.max_bytes, or subscribe to new records only.',
  },
  RECORDS_UNAVAILABLE: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check that NATS runs, with -js and with room for sink.records.max_bytes; the log of sink says more.',
  },
  CURSOR_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Give the cursor of a response as it came.',
  },
  CURSOR_UNKNOWN: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Start without the cursor: from the beginning has all that is stored now.',
  },
  CURSOR_EXPIRED: {
    grpc: 'OUT_OF_RANGE',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Set skip_expired to go on with the oldest record that is kept; sink.records says how long they are.',
  },
} as const satisfies Record<string, ErrorEntry>;
