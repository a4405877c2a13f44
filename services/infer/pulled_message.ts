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

  /**
   * Messages that the server still had for the consumer. The reply subject ends
   * `….<pending>`, or `….<pending>.<token>` where it carries a domain: `$JS.ACK.`
   * and seven tokens, or eleven and more (NATS ADR-15).
   */
  get pending(): number {
    const tokens = this.#message.reply?.split('.') ?? [];
    const pending = Number(tokens.length > 9 ? tokens[10] : tokens[8]);
    return Number.isFinite(pending) ? pending : 0;
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
