import { createInbox, ErrorCode, Events, headers, type Msg, type NatsConnection, type Subscription } from 'nats';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RecordsConfig } from '../../lib/config.js';
import { codeOf, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { LogLimit } from '../../lib/log_limit.js';
import { encodeRecord } from '../../lib/messages.js';
import { isConnected } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { PendingRecords, type PendingRecord } from './pending_records.js';
import type { RecordCursor } from './record_cursor.js';
import { isRefusal, lastRecords, openRecordStream, removeRecordStream, type LastRecord, type RecordStreamState } from './record_stream.js';

/** Why a record was not stored. */
export type NotStoredReason = 'refused' | 'no_store' | 'no_answer' | 'overflow' | 'too_large';

/** Told of every record that is put, in that order. */
export interface RecordStoreListener {
  /** @param cursor where the record is; null: it is not stored */
  settled(record: DetectionRecord, cursor: RecordCursor | null): void;
  /** The store has records that were settled as not stored, up to `head`. */
  moved(): void;
  /** What was stored is gone, and cursors mean nothing any more. */
  remade(): void;
}

/** An answer that takes so long is not waited for: subscribers who look on shall not be late. */
const ANSWER_DEADLINE_MS = 3_000;
const SWEEP_MS = 250;
const CLOSE_DEADLINE_MS = 500;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2_000;
/** The stream may be gone. */
const STALLED_RETRY_MS = 1_000;
/** Somebody has to make room first. */
const REFUSED_RETRY_MS = 30_000;

/** opening: records wait; open: they are stored; stalled: no answers come, nobody waits; off: there is no store. */
type Phase = 'opening' | 'open' | 'stalled' | 'off';

/**
 * Publishes records on NATS and has JetStream keep them. It never waits: what was not
 * acknowledged when the connection was lost is sent again behind it, in order, with the
 * same id, and the server drops what it has. A sink that was restarted does not store
 * again, nor behind their successors, frames that its predecessor has stored.
 */
export class RecordStore {
  readonly #nats: NatsConnection;
  readonly #limits: RecordsConfig;
  readonly #listener: RecordStoreListener;
  readonly #log: Log;
  readonly #limit = new LogLimit();
  readonly #inbox = createInbox();
  readonly #pending: PendingRecords;
  readonly #notStored = new Map<NotStoredReason, number>();
  #phase: Phase = 'opening';
  #state: RecordStreamState | null = null;
  #last: Map<string, LastRecord> | null = null;
  #answers: Subscription | null = null;
  #sweep: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #isOpening = false;
  #attempt = 0;
  #warned = '';
  #stored = 0;
  #closed = false;

  constructor(nats: NatsConnection, limits: RecordsConfig, listener: RecordStoreListener, log: Log) {
    this.#nats = nats;
    this.#limits = limits;
    this.#listener = listener;
    this.#log = log;
    this.#pending = new PendingRecords((record, position) => {
      this.#settle(record, position);
    });
    if (!this.isOn) this.#phase = 'off';
  }

  /** Whether records are to be stored at all. */
  get isOn(): boolean {
    return this.#limits.maxBytes > 0;
  }

  /** The place behind the newest stored record; null while there is no store. */
  get head(): RecordCursor | null {
    if (this.#state === null || this.#phase === 'off') return null;
    return { store: this.#state.store, position: this.#state.last };
  }

  /** Records stored by this sink. */
  get stored(): number {
    return this.#stored;
  }

  /** Records that could not be stored, by reason. */
  get notStored(): ReadonlyMap<NotStoredReason, number> {
    return this.#notStored;
  }

  start(): void {
    if (!this.isOn) {
      // A stream that is there would go on to store what is published.
      void removeRecordStream(this.#nats).catch(() => undefined);
      return;
    }
    this.#answers = this.#nats.subscribe(`${this.#inbox}.*`, {
      callback: (_error, message) => {
        this.#answered(message);
      },
    });
    this.#sweep = setInterval(() => {
      this.#sweepPending();
    }, SWEEP_MS);
    void this.#followConnection();
    this.#open();
  }

  /** Publishes a record; the listener is told what became of it. */
  put(record: DetectionRecord): void {
    if (this.#phase === 'off' || this.#closed) {
      this.#publish(this.#pendingRecord(record), false);
      if (this.isOn) this.#count('no_store');
      this.#listener.settled(record, null);
      return;
    }
    const entry = this.#pendingRecord(record);
    if (this.#phase === 'stalled') {
      if (this.#isOld(record)) return;
      this.#publish(entry, true);
      this.#count('no_answer');
      this.#listener.settled(record, null);
      return;
    }
    if (this.#pending.add(entry)) this.#count('overflow');
    if (this.#phase === 'open') this.#send(entry);
  }

  /** Waits a moment for what is on its way. Idempotent. */
  async close(): Promise<void> {
    const untilMs = performance.now() + CLOSE_DEADLINE_MS;
    while (!this.#closed && this.#pending.size > 0 && isConnected(this.#nats) && performance.now() < untilMs) {
      await sleep(5);
    }
    this.#closed = true;
    if (this.#sweep) clearInterval(this.#sweep);
    if (this.#retry) clearTimeout(this.#retry);
    this.#answers?.unsubscribe();
  }

  #pendingRecord(record: DetectionRecord): PendingRecord {
    return { record, data: encodeRecord(record), deadlineMs: performance.now() + ANSWER_DEADLINE_MS, sent: false };
  }

  /** Sends what has a place in the queue, unless it is there already. */
  #send(entry: PendingRecord): void {
    if (this.#isOld(entry.record)) {
      this.#pending.drop(entry);
      return;
    }
    entry.sent = true;
    if (!this.#publish(entry, true)) {
      this.#count('too_large');
      this.#pending.settle(entry, null);
    }
  }

  /** Whether the store had this frame, or a later one of its epoch, before this sink began. */
  #isOld({ streamId, epoch, seq }: DetectionRecord): boolean {
    const last = this.#last?.get(streamId);
    if (last?.epoch === undefined || epoch === undefined) return false;
    if (epoch.uuid === last.epoch.uuid) return seq <= last.seq;
    this.#last?.delete(streamId);
    return false;
  }

  /** False when it is more than the server takes. */
  #publish({ record, data, id }: PendingRecord, wantsAnswer: boolean): boolean {
    if (!isConnected(this.#nats)) return true;
    const { streamId, epoch, seq } = record;
    const fields = headers();
    fields.set('Nats-Msg-Id', `${streamId}/${epoch?.uuid ?? ''}/${seq}`);
    const reply = wantsAnswer ? { reply: `${this.#inbox}.${id ?? 'late'}` } : {};
    try {
      this.#nats.publish(subjects.detections(streamId), data, { headers: fields, ...reply });
      return true;
    } catch (error) {
      const skipped = this.#limit.take('publish');
      if (skipped !== null) this.#log.warn({ stream: streamId, bytes: data.length, skipped, err: error }, 'a record could not be published');
      return false;
    }
  }

  #answered(message: Msg): void {
    if (this.#closed) return;
    const id = message.subject.slice(this.#inbox.length + 1);
    const entry = this.#pending.get(Number(id));
    const answer = parseAnswer(message);
    if (typeof answer === 'number') {
      if (this.#phase === 'stalled') {
        this.#phase = 'open';
        this.#log.info('records are stored again');
      }
      if (entry !== undefined) this.#pending.settle(entry, answer);
      else this.#moveTo(answer);
      return;
    }
    const isStreamMissing = answer === null;
    if (entry !== undefined) {
      this.#count(isStreamMissing ? 'no_store' : 'refused');
      this.#pending.settle(entry, null);
    }
    const skipped = this.#limit.take('refused');
    const cause = answer ?? 'nobody keeps the stream of records';
    if (skipped !== null) this.#log.warn({ cause, skipped }, 'NATS did not store a record');
    if (isStreamMissing && this.#phase !== 'off' && !this.#isOpening) this.#open();
  }

  /** The pending record at the front has its answer. */
  #settle(record: DetectionRecord, position: number | null): void {
    const state = this.#state;
    if (position === null || state === null) {
      this.#listener.settled(record, null);
      return;
    }
    // Otherwise it is one that was stored before, and told of.
    if (position <= state.last) return;
    state.last = position;
    this.#stored++;
    this.#listener.settled(record, { store: state.store, position });
  }

  /** A record that was given up has been stored after all. */
  #moveTo(position: number): void {
    if (this.#state === null || position <= this.#state.last) return;
    this.#state.last = position;
    this.#listener.moved();
  }

  #sweepPending(): void {
    if (!isConnected(this.#nats)) return;
    const nowMs = performance.now();
    const first = this.#pending.first();
    if (first === undefined || first.deadlineMs > nowMs) return;
    if (this.#phase === 'open') {
      this.#phase = 'stalled';
      this.#log.warn({ waitedMs: ANSWER_DEADLINE_MS }, 'NATS does not say whether it stores records; subscribers do not wait for it');
      this.#giveUp('no_answer', Infinity);
      this.#lookAgain();
    } else {
      this.#giveUp('no_answer', nowMs);
    }
  }

  /** Settles pending records as not stored; those that were not sent yet are published. */
  #giveUp(reason: NotStoredReason, untilMs: number): void {
    for (const entry of this.#pending.all()) {
      if (entry.deadlineMs > untilMs) break;
      if (!entry.sent) this.#publish(entry, false);
      this.#count(reason);
      this.#pending.settle(entry, null);
    }
  }

  #count(reason: NotStoredReason): void {
    this.#notStored.set(reason, (this.#notStored.get(reason) ?? 0) + 1);
  }

  async #followConnection(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (this.#closed) return;
      if (type === Events.Disconnect && this.#phase !== 'off') this.#phase = 'opening';
      if (type !== Events.Reconnect) continue;
      this.#pending.extend(performance.now() + ANSWER_DEADLINE_MS);
      this.#open();
    }
  }

  /** Makes sure of the stream, again and again until it is there; then what waits is sent. */
  #open(waitMs = FIRST_RETRY_MS, tries = 1): void {
    if (this.#closed) return;
    if (this.#retry) clearTimeout(this.#retry);
    const attempt = ++this.#attempt;
    this.#isOpening = true;
    if (this.#phase === 'open') this.#phase = 'opening';
    void this.#openOnce(attempt).then((error) => {
      if (attempt !== this.#attempt) return;
      this.#isOpening = false;
      if (error === undefined || this.#closed || this.#nats.isClosed()) return;
      // A server that has just started says no before it says yes.
      const refused = tries >= 3 && isConnected(this.#nats) && isRefusal(error);
      if (refused) this.#refused(error);
      this.#retry = setTimeout(
        () => {
          this.#open(Math.min(waitMs * 2, LONGEST_RETRY_MS), tries + 1);
        },
        refused ? REFUSED_RETRY_MS : waitMs,
      );
      this.#retry.unref();
    });
  }

  /** Does nothing when another attempt has begun meanwhile: what was asked before a reconnect is not answered. */
  async #openOnce(attempt: number): Promise<unknown> {
    const last = this.#state?.last ?? 0;
    try {
      const state = await openRecordStream(this.#nats, this.#limits);
      this.#last ??= await lastRecords(this.#nats);
      if (!this.#closed && attempt === this.#attempt) this.#opened(state, state.last < last);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Without its stream the server says nothing as long as anybody listens to records. */
  #lookAgain(): void {
    if (this.#retry) clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#open();
    }, STALLED_RETRY_MS);
    this.#retry.unref();
  }

  /** @param isCut whether records that were acknowledged are not there any more */
  #opened(state: RecordStreamState, isCut: boolean): void {
    const before = this.#state;
    if (this.#phase === 'stalled' && before?.store === state.store && !isCut) {
      this.#lookAgain();
      return;
    }
    if (before === null) {
      this.#state = state;
    } else if (before.store !== state.store || isCut) {
      this.#log.warn('the stored records went with the NATS server: cursors of clients are refused');
      this.#state = state;
      this.#listener.remade();
    }
    this.#warned = '';
    this.#phase = 'open';
    this.#pending.extend(performance.now() + ANSWER_DEADLINE_MS);
    for (const entry of this.#pending.all()) this.#send(entry);
  }

  #refused(error: unknown): void {
    this.#phase = 'off';
    this.#giveUp('no_store', Infinity);
    const cause = codeOf(error) === ErrorCode.NoResponders ? 'the server has no JetStream' : messageOf(error);
    if (cause === this.#warned) return;
    this.#warned = cause;
    this.#log.warn(
      { cause, maxBytes: this.#limits.maxBytes },
      'NATS does not store records: clients get them live, and cannot go on where they were. Give NATS room, or lower sink.records.max_bytes',
    );
  }
}

/** Position of the stored record; text: why it was refused; null: nobody has the stream. */
function parseAnswer(message: Msg): number | string | null {
  if (message.headers?.code === 503) return null;
  try {
    const { seq, error } = message.json<{ seq?: number; error?: { description?: string } }>();
    return seq !== undefined && seq > 0 ? seq : (error?.description ?? 'no reason given');
  } catch (error) {
    return messageOf(error);
  }
}
