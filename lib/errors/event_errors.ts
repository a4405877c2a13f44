import { EXIT, type ErrorEntry } from './entry.js';

/** Errors of events and of those who tell of them. */
export const EVENT_ERRORS = {
  EVENTS_OFF: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.config,
    retryable: false,
    remedy: 'Set events.enabled: true for the stream, or in defaults, and start sink again.',
  },
  EVENT_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Give the name that the start of the event was answered with.',
  },
  EVENTS_FULL: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Stop events that are over, or give them the same name; what is recorded is the same.',
  },
} as const satisfies Record<string, ErrorEntry>;
