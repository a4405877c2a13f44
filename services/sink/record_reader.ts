import { AckPolicy, DeliverPolicy, nanos, type Consumer, type ConsumerConfig, type JsMsg, type NatsConnection } from 'nats';
import { withDeadline } from '../../lib/deadline.js';
import { FramebusError } from '../../lib/errors.js';
import { isConnected } from '../../lib/nats.js';
import { RECORD_STREAM } from '../../lib/subjects.js';
import { recordStreamManager } from './record_stream.js';

/** A stored record, not decoded yet. */
export interface StoredRecord {
  position: number;
  streamId: string;
  data: Uint8Array;
}

/** Shortest that the client takes; so long it waits for records that are not there. */
const FETCH_MS = 1_000;
const FETCH_DEADLINE_MS = 3_000;
/** The server removes a consumer that nobody used for so long. */
const IDLE_MS = 30_000;

/** A consumer, and how far it is. */
interface Source {
  consumer: Consumer;
  /** Position that it gives next, at the earliest. */
  next: number;
  /** Records that it has given. */
  given: number;
}

/** Reads stored records in order. Whatever fails is thrown; the next call begins anew. */
export class RecordReader {
  readonly #nats: NatsConnection;
  #source: Source | null = null;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  /** Up to `most` records from position `from` on, or from the first behind it that is kept; may be empty. */
  async read(from: number, most: number): Promise<StoredRecord[]> {
    if (!isConnected(this.#nats)) throw new FramebusError('RECORDS_UNAVAILABLE', 'stored records: the connection to NATS is lost');
    const source = this.#source?.next === from ? this.#source : await this.#sourceFrom(from);
    try {
      const messages = await withDeadline(this.#fetch(source, most), FETCH_DEADLINE_MS, 'stored records');
      return messages.map(({ subject, data, seq }) => ({
        position: seq,
        streamId: subject.slice(subject.lastIndexOf('.') + 1),
        data,
      }));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Position of the first record that was stored at that time or later; null when there is none. */
  async firstSince(unixMs: number): Promise<number | null> {
    const consumer = await this.#makeConsumer({
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: new Date(unixMs).toISOString(),
      headers_only: true,
    });
    const info = await consumer.info();
    const message = info.num_pending === 0 ? null : await consumer.next({ expires: FETCH_MS });
    void consumer.delete().catch(() => undefined);
    return message?.seq ?? null;
  }

  /** Gives back what the server keeps for it; it may be used again. */
  close(): void {
    const source = this.#source;
    this.#source = null;
    // The server would remove it a while later by itself.
    if (source !== null && isConnected(this.#nats)) void source.consumer.delete().catch(() => undefined);
  }

  async #sourceFrom(next: number): Promise<Source> {
    this.close();
    const consumer = await this.#makeConsumer({ deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: next });
    this.#source = { consumer, next, given: 0 };
    return this.#source;
  }

  async #fetch(source: Source, most: number): Promise<JsMsg[]> {
    const got: JsMsg[] = [];
    for await (const message of await source.consumer.fetch({ max_messages: most, expires: FETCH_MS })) {
      // One that is missing was lost with the connection: it is read anew.
      if (message.info.deliverySequence !== source.given + 1) {
        this.close();
        break;
      }
      source.given++;
      source.next = message.seq + 1;
      got.push(message);
      if (got.length === most) break;
    }
    return got;
  }

  async #makeConsumer(start: Partial<ConsumerConfig>): Promise<Consumer> {
    const manager = await recordStreamManager(this.#nats);
    const { name } = await manager.consumers.add(RECORD_STREAM, {
      ...start,
      ack_policy: AckPolicy.None,
      inactive_threshold: nanos(IDLE_MS),
      mem_storage: true,
    });
    return this.#nats.jetstream().consumers.get(RECORD_STREAM, name);
  }
}
