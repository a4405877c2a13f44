import {
  AckPolicy,
  createInbox,
  DeliverPolicy,
  Events,
  headers,
  type Msg,
  type NatsConnection,
  type NatsError,
  type Subscription,
} from 'nats';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { FRAME_STREAM } from '../../lib/subjects.js';
import { PulledMessage } from './pulled_message.js';
import { Turns } from './turns.js';

export interface FrameConsumerOptions {
  /** JetStream stream. */
  stream: string;
  /** Durable pull consumer that all workers of the model share. */
  durable: string;
  filterSubject: string;
  /** A frame that is not acknowledged for so long is given to another worker. */
  ackWaitMs: number;
}

/**
 * Life of one request for frames; the server forgets it after this, and so do we. Short, because
 * nats-server 2.9 at times does not see that there is something for a request that waits; it
 * does for the next one.
 */
const PULL_EXPIRES_MS = 1_000;
const PULL_GRACE_MS = 500;
const LONGEST_RETRY_MS = 2_000;
const NS_PER_MS = 1e6;
/** Most frames that are looked through for the one whose turn it is. */
const MOST_OTHERS = 64;
/** The server waits so long when somebody else was quicker, and we for its answer. */
const LOOK_EXPIRES_MS = 5;
const LOOK_DEADLINE_MS = 100;

interface Pull {
  /** Frames that the server may still send for it. */
  left: number;
  timer: NodeJS.Timeout;
}

/** A request for all the others that wait, to see whose turn it is. */
type Look = Pull & { id: string };

/**
 * One worker's end of the consumer that a model's workers share. Frames come
 * only when asked for, so that a worker never has more than it can start, and a
 * stopped one keeps nothing from the others but what it had asked for.
 *
 * The client library's own pull loop refills by itself; this one is told how
 * many frames are wanted, and asks for the difference.
 *
 * The server hands out the frame that has waited longest. Where only the newest of each stream
 * is kept, that is always the same camera's when all run at one rate, and never a fast one's.
 * So when more wait than are wanted, all are asked for; those whose turn it is are kept, the
 * others go back at once.
 */
export class FrameConsumer {
  readonly #nats: NatsConnection;
  readonly #options: FrameConsumerOptions;
  readonly #onFrame: (message: PulledMessage) => void;
  readonly #log: Log;
  readonly #inbox = createInbox();
  readonly #lookInbox = createInbox();
  readonly #pulls = new Map<string, Pull>();
  readonly #turns = new Turns();
  /** Have come, and wait until it is known whose turn it is. */
  #gathered: PulledMessage[] = [];
  /** So many of them may be kept. */
  #granted = 0;
  #look: Look | null = null;
  /** Frames that were put back the last time; nats-server 2.9 does not always count them as pending. */
  #passedOver = 0;
  #subscriptions: Subscription[] = [];
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
    this.#subscriptions = [
      this.#nats.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#onMessage(error, message) }),
      this.#nats.subscribe(`${this.#lookInbox}.*`, { callback: (error, message) => this.#onLooked(error, message) }),
    ];
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
    return Math.min(this.#asked(), this.#pending) + this.#granted;
  }

  /** Takes no more frames; what the server had sent meanwhile, it gives to another worker. */
  close(): void {
    this.#state = 'closed';
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#forgetPulls();
    clearTimeout(this.#look?.timer);
    for (const frame of this.#gathered.splice(0)) this.#putBack(frame);
    this.#granted = 0;
  }

  #asked(): number {
    let asked = 0;
    for (const { left } of this.#pulls.values()) asked += left;
    return asked;
  }

  #fill(): void {
    const missing = this.#wanted - this.#asked() - this.#granted;
    if (this.#state !== 'ready' || missing <= 0) return;
    const id = String(this.#serial++);
    // A lost answer must not keep us from asking again.
    const timer = setTimeout(() => this.#endPull(id), PULL_EXPIRES_MS + PULL_GRACE_MS);
    this.#pulls.set(id, { left: missing, timer });
    this.#request({ batch: missing, expires: PULL_EXPIRES_MS * NS_PER_MS }, `${this.#inbox}.${id}`);
  }

  #request(request: { batch: number; expires?: number; no_wait?: boolean }, reply: string): void {
    const { stream, durable } = this.#options;
    this.#nats.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, JSON.stringify(request), { reply });
  }

  #onMessage(error: NatsError | null, message: Msg): void {
    if (this.#state === 'closed') return;
    const status = statusOf(error, message);
    if (status >= 200) {
      this.#onStatus(message, status, message.headers?.description ?? '');
    } else if (status === 0) {
      const frame = new PulledMessage(message);
      this.#pending = frame.pending;
      this.#count();
      this.#gather(frame);
    }
  }

  /** Keeps a frame that was wanted, unless another one may come before it. */
  #gather(frame: PulledMessage): void {
    this.#gathered.push(frame);
    this.#granted += 1;
    if (this.#look !== null) return;
    const others = Math.max(this.#pending - this.#asked(), this.#passedOver);
    if (this.#options.stream !== FRAME_STREAM || others <= 0) this.#handOn();
    else this.#lookAt(Math.min(MOST_OTHERS, others));
  }

  #lookAt(others: number): void {
    const id = String(this.#serial++);
    this.#look = { id, left: others, timer: setTimeout(() => this.#endLook(), LOOK_DEADLINE_MS) };
    this.#request({ batch: others, no_wait: true, expires: LOOK_EXPIRES_MS * NS_PER_MS }, `${this.#lookInbox}.${id}`);
  }

  #onLooked(error: NatsError | null, message: Msg): void {
    if (this.#state === 'closed') return;
    const status = statusOf(error, message);
    if (status === 0) this.#onOther(new PulledMessage(message));
    // It is over: there were fewer than we thought.
    else if (status >= 200 && message.subject === `${this.#lookInbox}.${this.#look?.id}`) this.#endLook();
  }

  #onOther(frame: PulledMessage): void {
    this.#pending = frame.pending;
    // Too late to be compared with anything.
    if (this.#look === null) return this.#putBack(frame);
    this.#gathered.push(frame);
    this.#look.left -= 1;
    if (this.#look.left === 0) this.#endLook();
  }

  #endLook(): void {
    clearTimeout(this.#look?.timer);
    this.#look = null;
    this.#handOn();
  }

  /**
   * Leaves a frame to whoever asks next, unless a newer one of its stream is there. It is
   * published anew because nats-server 2.9 may not answer a request at all while a message
   * that was given back has been replaced.
   */
  #putBack(frame: PulledMessage): void {
    const conditions = headers();
    conditions.set('Nats-Expected-Last-Subject-Sequence', String(frame.sequence));
    this.#nats.publish(frame.subject, frame.data, { headers: conditions });
    frame.ack();
  }

  /** Hands on the frames whose streams' turn it is, and gives the others back. */
  #handOn(): void {
    const inTurn = this.#turns.inTurn(this.#gathered, ({ streamId }) => streamId);
    const others = inTurn.splice(this.#granted);
    this.#gathered = [];
    this.#passedOver = others.length;
    for (const frame of others) this.#putBack(frame);
    for (const frame of inTurn) {
      this.#turns.served(frame.streamId);
      this.#granted -= 1;
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

/** Code of a message that is no frame; 0 for a frame. */
const statusOf = (error: NatsError | null, message: Msg): number =>
  error === null ? (message.headers?.code ?? 0) : Number(error.code);
