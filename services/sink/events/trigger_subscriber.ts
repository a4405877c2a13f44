import type { Msg, NatsConnection, Subscription } from 'nats';
import { Counter, type Registry } from 'prom-client';
import { codeOf, messageOf } from '../../../lib/errors.js';
import type { Log } from '../../../lib/log.js';
import { LogLimit } from '../../../lib/log_limit.js';
import { ALL_TRIGGERS } from '../../../lib/subjects.js';
import { EventSource } from '#proto/framebus/recording/v1/recorded_event.js';
import { TriggerAction } from '#proto/framebus/recording/v1/trigger.js';
import type { Streams } from '../streams.js';
import type { EventRecordings } from './event_recordings.js';
import { parseTrigger } from './trigger_message.js';

export interface TriggerParts {
  nats: NatsConnection;
  streams: Pick<Streams, 'require'>;
  events: Pick<EventRecordings, 'require'>;
  log: Log;
  metrics: Registry;
}

/** Hears of events on NATS. What cannot be done is counted, and logged now and then. */
export class TriggerSubscriber {
  readonly #parts: TriggerParts;
  readonly #limit = new LogLimit();
  readonly #subscription: Subscription;
  readonly #refused: Counter;

  constructor(parts: TriggerParts) {
    this.#parts = parts;
    this.#refused = new Counter({
      name: 'framebus_triggers_refused_total',
      help: 'Messages on fb.triggers.<stream> that nothing came of, by the code of the error.',
      labelNames: ['code'],
      registers: [parts.metrics],
    });
    this.#subscription = parts.nats.subscribe(ALL_TRIGGERS, {
      callback: (error, message) => {
        if (error === null) this.#hear(message);
      },
    });
  }

  /** Idempotent. */
  close(): void {
    this.#subscription.unsubscribe();
  }

  #hear(message: Msg): void {
    const streamId = message.subject.split('.').at(-1) ?? '';
    try {
      this.#parts.streams.require(streamId);
      this.#act(streamId, message.data);
    } catch (error) {
      const code = codeOf(error) ?? 'INTERNAL';
      this.#refused.inc({ code });
      const skipped = this.#limit.take(code);
      if (skipped !== null) this.#parts.log.warn({ subject: message.subject, code, cause: messageOf(error), skipped }, 'trigger refused');
    }
  }

  #act(streamId: string, data: Uint8Array): void {
    const { action, event, reason, preRollMs, durationMs } = parseTrigger(data);
    const events = this.#parts.events.require(streamId);
    if (action === TriggerAction.TRIGGER_ACTION_STOP) {
      events.stop(event);
      return;
    }
    events.start({ event, source: EventSource.EVENT_SOURCE_MESSAGE, reason, preRollMs: preRollMs ?? null, durationMs });
  }
}
