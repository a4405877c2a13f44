import type { Msg } from 'nats';

const NS_PER_MS = 1e6;

/**
 * A message that JetStream has delivered on our request. The client library
 * makes such objects only in its own pull loop, see `FrameConsumer`.
 */
export class PulledMessage {
  readonly #message: Msg;

  constructor(message: Msg) {
    this.#message = message;
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  /** Subject on which it was published. */
  get subject(): string {
    return this.#message.subject;
  }

  /** Name of the stream, the last token of the subject whatever the message is. */
  get streamId(): string {
    return this.subject.split('.').at(-1) ?? '';
  }

  /**
   * Messages that the server still had for the consumer. The reply subject ends
   * `….<pending>`, or `….<pending>.<token>` where it carries a domain: `$JS.ACK.`
   * and seven tokens, or eleven and more (NATS ADR-15).
   */
  get pending(): number {
    return this.#replyNumber(8);
  }

  /** Number of the message in the JetStream stream. */
  get sequence(): number {
    return this.#replyNumber(5);
  }

  /** A token of the short reply subject, by its place. */
  #replyNumber(place: number): number {
    const tokens = this.#message.reply?.split('.') ?? [];
    const value = Number(tokens[tokens.length > 9 ? place + 2 : place]);
    return Number.isFinite(value) ? value : 0;
  }

  /** Done with it. */
  ack(): void {
    this.#message.respond('+ACK');
  }

  /** Gives it back, to be delivered again after so long. */
  nak(delayMs: number): void {
    this.#message.respond(`-NAK {"delay": ${delayMs * NS_PER_MS}}`);
  }
}
