import type { Msg, NatsConnection, Subscription } from 'nats';
import { withDeadline } from '../../lib/deadline.js';
import { codeOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { decodeResult } from '../../lib/messages.js';
import { isConnected } from '../../lib/nats.js';
import { ALL_RESULTS, NAME } from '../../lib/subjects.js';
import { isComplete } from './frame_leaser.js';
import { LogLimit } from '../../lib/log_limit.js';
import type { Received } from './stream.js';

export interface ResultListener {
  result(received: Omit<Received, 'lease'>): void;
  /** A message of a version that this program does not know, dropped. */
  unknownVersion(streamId: string): void;
}

/** Longest wait for NATS to hand over what is on its way. */
const DRAIN_MS = 500;

/** Hears the results of all streams. */
export class ResultSubscriber {
  readonly #nats: NatsConnection;
  readonly #listener: ResultListener;
  readonly #log: Log;
  readonly #limit = new LogLimit();
  readonly #subscription: Subscription;

  constructor(nats: NatsConnection, listener: ResultListener, log: Log) {
    this.#nats = nats;
    this.#listener = listener;
    this.#log = log;
    this.#subscription = nats.subscribe(ALL_RESULTS, {
      callback: (error, message) => {
        if (error === null) this.#hear(message);
      },
    });
  }

  /** Takes no new results; those that are on their way are handed on first. */
  async close(): Promise<void> {
    if (this.#subscription.isClosed()) return;
    if (isConnected(this.#nats)) {
      const drained = withDeadline(this.#subscription.drain(), DRAIN_MS, 'results: draining');
      await drained.catch(() => undefined);
    }
    this.#subscription.unsubscribe();
  }

  #hear(message: Msg): void {
    const streamId = message.subject.split('.').at(-1) ?? '';
    try {
      const result = decodeResult(message.data);
      const { frame } = result;
      if (!isComplete(frame) || frame.streamId !== streamId || !NAME.test(streamId)) {
        this.#complain(message.subject, 'a result without a whole frame, or of another stream');
        return;
      }
      this.#listener.result({ result, frame });
    } catch (error) {
      if (codeOf(error) === 'MESSAGE_VERSION') this.#listener.unknownVersion(streamId);
      this.#complain(message.subject, error);
    }
  }

  #complain(subject: string, cause: unknown): void {
    const skipped = this.#limit.take(subject);
    if (skipped === null) return;
    const err = cause instanceof Error ? { err: cause } : { cause };
    this.#log.warn({ subject, ...err, skipped }, 'message dropped');
  }
}
