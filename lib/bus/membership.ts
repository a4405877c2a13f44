import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from 'nats';
import { TapMode, TapRequest, type TapResponse } from '#proto/framebus/tap/v1/tap.js';
import { codeOf, FramebusError, isErrorCode } from '../errors.js';
import type { Log } from '../log.js';
import { decodeTapResponse, encodeTapRequest } from '../messages.js';
import * as subjects from '../subjects.js';

/** Asked again so often, so that a restarted owner hears of its members. */
const KEEP_ALIVE_MS = 2_000;
const RETRY_MS = 250;
const ANSWER_MS = 1_000;
/** What nats says when nobody listens on a subject. */
const NO_RESPONDERS = '503';

const TAP_MODES = { latest: TapMode.TAP_MODE_LATEST, lossless: TapMode.TAP_MODE_LOSSLESS } as const;

export interface MembershipOptions {
  streamId: string;
  group: string;
  member: string;
  mode: 'latest' | 'lossless';
  hold: number;
  /** Fewer will not do. */
  minHold: number;
}

/** Keeps a consumer a member of a tap: asks the stream's owner for it, again and again. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #nats: NatsConnection;
  readonly #log: Log;
  /** Ends waiting between two requests. */
  #wait = new AbortController();
  #closed = false;
  /** What the log has been told last. */
  #told: 'nothing' | 'waiting' | 'joined' = 'nothing';

  constructor(options: MembershipOptions, parts: { nats: NatsConnection; log: Log }) {
    this.#options = options;
    this.#nats = parts.nats;
    this.#log = parts.log;
  }

  /**
   * Asks until `close`. `session`: the membership known so far; `onAnswer` gets every
   * answer that is none of an error, and may throw to end it.
   * @throws TAP_REFUSED, BUS_ADMISSION and whatever else the owner says
   */
  async keep(session: () => bigint, onAnswer: (answer: TapResponse) => Promise<void>): Promise<void> {
    // A function, because it changes while something is awaited.
    const isClosed = (): boolean => this.#closed;
    while (!isClosed()) {
      const answer = await this.#ask(session());
      if (isClosed()) return;
      if (answer !== null) {
        if (answer.errorCode !== '') throw errorOf(answer);
        this.#tell('joined');
        await onAnswer(answer);
      }
      // An answer of old: the owner is about to notice that the membership is over.
      const isCurrent = answer !== null && answer.session >= session();
      await this.#pause(isCurrent ? KEEP_ALIVE_MS : RETRY_MS);
    }
  }

  /** Asks now: the membership is over. */
  renew(): void {
    this.#wait.abort();
  }

  /** Frames that cannot be leased any more, so that they are not sent again. */
  missed(session: bigint, numbers: bigint[]): void {
    this.#publish({ session, missed: numbers });
  }

  /** Leaves the tap. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#publish({ leave: true });
    this.#wait.abort();
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#wait;
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted && !this.#closed) this.#wait = new AbortController();
  }

  /** Null: nobody is there to answer, for now. */
  async #ask(session: bigint): Promise<TapResponse | null> {
    try {
      const subject = subjects.tapRequests(this.#options.streamId);
      const message = await this.#nats.request(subject, this.#request({ session }), { timeout: ANSWER_MS });
      return decodeTapResponse(message.data);
    } catch (error) {
      const nobody = codeOf(error) === NO_RESPONDERS;
      if (nobody) this.#tell('waiting');
      else this.#log.debug({ stream: this.#options.streamId, err: error }, 'asking for a tap failed');
      return null;
    }
  }

  #tell(now: 'waiting' | 'joined'): void {
    if (this.#told === now) return;
    const { streamId, group } = this.#options;
    if (now === 'joined') this.#log.info({ stream: streamId, group }, `stream ${streamId}: its frames are coming`);
    else this.#log.warn({ stream: streamId }, `stream ${streamId}: nobody publishes it yet, or any more; waiting`);
    this.#told = now;
  }

  #publish(rest: Partial<TapRequest>): void {
    if (!this.#nats.isClosed()) {
      this.#nats.publish(subjects.tapRequests(this.#options.streamId), this.#request(rest));
    }
  }

  #request(rest: Partial<TapRequest>): Uint8Array {
    const { group, member, mode, hold, minHold } = this.#options;
    return encodeTapRequest(TapRequest.fromPartial({ group, member, mode: TAP_MODES[mode], hold, minHold, ...rest }));
  }
}

function errorOf({ errorCode, errorMessage }: TapResponse): FramebusError {
  return new FramebusError(isErrorCode(errorCode) ? errorCode : 'INTERNAL', errorMessage);
}
