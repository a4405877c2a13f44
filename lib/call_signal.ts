import type { Deadline } from '@grpc/grpc-js';

/** The part of a gRPC server call that tells whether its client still waits. */
interface WaitedFor {
  on(event: 'cancelled', listener: () => void): unknown;
  getDeadline(): Deadline;
}

/** Timers are up to so much early. */
const EARLY_MS = 1;

/** A signal that is aborted when the client of a call has gone, or its deadline has passed: nobody reads the answer. */
export function callSignal(call: WaitedFor): AbortSignal {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  // A call whose deadline passes before the whole request is there still reaches its handler, and grpc-js tells nobody.
  if (Number(call.getDeadline()) - EARLY_MS <= Date.now()) gone.abort();
  return gone.signal;
}
