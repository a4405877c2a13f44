import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  Events,
  type Msg,
  type NatsConnection,
  type NatsError,
  type Subscription,
} from 'nats';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { PulledMessage } from './pulled_message.js';

export interface FrameConsumerOptions {
  /** JetStream stream. */
  stream: string;
  /** Durable pull consumer that all workers of the model share. */
  durable: string;
  filterSubject: string;
  /** A frame that is not acknowledged for so long is given to another worker. */
  ackWaitMs: number;
}

/** Life of one request for frames; the server forgets it after this, and so do we. */
const PULL_EXPIRES_MS = 5_000;
const PULL_GRACE_MS = 1_000;
const LONGEST_RETRY_MS = 2_000;
const NS_PER_MS = 1e6;

interface Pull {
  /** Frames that the server may still send for it. */
  left: number;
  timer: NodeJS.Timeout;
}

/**
 * One worker's end of the consumer that a model's workers share. Frames come
 * only when asked for, so that a worker never has more than it can start, and a
 * stopped one keeps nothing from the others but what it had asked for.
 *
 * The client library's own pull loop refills by itself; this one is told how
 * many frames are wanted, and asks for the difference.
 */
export class FrameConsumer {
  readonly #nats: NatsConnection;
  readonly #options: FrameConsumerOptions;
  readonly #onFrame: (message: PulledMessage) => void;
  readonly #log: Log;
  readonly #inbox = createInbox();
  readonly #pulls = new Map<string, Pull>();
  #subscription: Subscription | null = null;
  #serial = 0;
  #wanted = 0;
  /** Frames that the server had for us when it sent the last one. */
  #pending = 0;
  #state: 'ensuring' | 'ready' | 'closed' = 'ensuring';

  constructor(nats: NatsConnection, options: FrameConsumerOptions, onFrame: (message: PulledMessage) => void, log: Log) {
    this.#nats = nats;
    this.#options = options;
    this.#onFrame = onFrame;
    this.#log = log;
  }

  /** Resolves when the consumer is there for the first time. */
  async start(): Promise<void> {
    this.#subscription = this.#nats.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => this.#onMessage(error, message),
    });
    void this.#watchReconnects();
    await this.#ensure();
  }

  get ready(): boolean {
    return this.#state === 'ready';
  }

  /** Says how many frames could be taken now, those asked for already included. */
  want(count: number): void {
    this.#wanted = count;
    this.#fill();
  }

  /** Frames that are asked for and known to wait on the server. */
  coming(): number {
    return Math.min(this.#asked(), this.#pending);
  }

  /** Takes no more frames; what the server had sent meanwhile, it gives to another worker. */
  close(): void {
    this.#state = 'closed';
    this.#subscription?.unsubscribe();
    this.#forgetPulls();
  }

  #asked(): number {
    let asked = 0;
    for (const { left } of this.#pulls.values()) asked += left;
    return asked;
  }

  #fill(): void {
    const missing = this.#wanted - this.#asked();
    if (this.#state !== 'ready' || missing <= 0) return;
    const id = String(this.#serial++);
    // A lost answer must not keep us from asking again.
    const timer = setTimeout(() => this.#endPull(id), PULL_EXPIRES_MS + PULL_GRACE_MS);
    this.#pulls.set(id, { left: missing, timer });
    const { stream, durable } = this.#options;
    const request = { batch: missing, expires: PULL_EXPIRES_MS * NS_PER_MS };
    this.#nats.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, JSON.stringify(request), {
      reply: `${this.#inbox}.${id}`,
    });
  }

  #onMessage(error: NatsError | null, message: Msg): void {
    if (this.#state === 'closed') return;
    const status = error === null ? (message.headers?.code ?? 0) : Number(error.code);
    if (status >= 200) {
      this.#onStatus(message, status, message.headers?.description ?? '');
    } else if (status === 0) {
      const frame = new PulledMessage(message);
      this.#pending = frame.pending;
      this.#count();
      this.#onFrame(frame);
    }
  }

  /** The server serves requests in turn, and a frame does not say which one it is for. */
  #count(): void {
    for (const [id, pull] of this.#pulls) {
      if (pull.left === 0) continue;
      pull.left -= 1;
      if (pull.left === 0) this.#dropPull(id);
      return;
    }
  }

  /** A request is over: expired (408), or there is no consumer any more (409, 503). */
  #onStatus(message: Msg, status: number, description: string): void {
    this.#pending = 0;
    const gone = status === 503 || (status === 409 && /deleted|not found|leadership/i.test(description));
    if (!gone) return this.#endPull(message.subject.slice(this.#inbox.length + 1));
    this.#log.warn({ consumer: this.#options.durable, status }, 'the consumer is gone; making it anew');
    this.#restart();
  }

  #endPull(id: string): void {
    this.#dropPull(id);
    this.#fill();
  }

  #dropPull(id: string): void {
    clearTimeout(this.#pulls.get(id)?.timer);
    this.#pulls.delete(id);
  }

  #forgetPulls(): void {
    for (const id of [...this.#pulls.keys()]) this.#dropPull(id);
    this.#pending = 0;
  }

  /** A restarted server knows neither our requests nor, as it lived in memory, the consumer. */
  async #watchReconnects(): Promise<void> {
    for await (const status of this.#nats.status()) {
      if (this.#state === 'closed') return;
      if (status.type === Events.Reconnect) this.#restart();
    }
  }

  #restart(): void {
    this.#forgetPulls();
    if (this.#state !== 'ready') return;
    this.#state = 'ensuring';
    void this.#ensure();
  }

  /** Makes the consumer; the stream may be a moment later than the server. */
  async #ensure(): Promise<void> {
    // A function, because the state may change while something is awaited.
    const isEnsuring = (): boolean => this.#state === 'ensuring';
    for (let waitMs = 50; isEnsuring(); waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
      try {
        await this.#add();
        if (!isEnsuring()) return;
        this.#state = 'ready';
        this.#fill();
        return;
      } catch (error) {
        const { durable } = this.#options;
        if (waitMs >= 400) this.#log.warn({ consumer: durable }, `consumer ${durable}: ${messageOf(error)}; trying again`);
        await sleep(waitMs);
      }
    }
  }

  async #add(): Promise<void> {
    const { stream, durable, filterSubject, ackWaitMs } = this.#options;
    const manager = await this.#nats.jetstreamManager({ checkAPI: false });
    await manager.consumers.add(stream, {
      durable_name: durable,
      filter_subject: filterSubject,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: ackWaitMs * NS_PER_MS,
    });
  }
}
