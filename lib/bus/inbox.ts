import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { TapFrame } from '#proto/framebus/tap/v1/tap.js';

/** A frame that may be leased. */
export interface Offer {
  frame: FrameDescriptor;
  number: bigint;
  /** A lease was refused because too many frames were held. */
  refused: boolean;
}

/** What a message has done. */
export interface Put {
  /** Frames that nobody will ask for any more because newer ones are there. */
  displaced: Offer[];
  /** The message's number, when it came before and was done with. */
  repeated: bigint | null;
}

const isNewer = (a: FrameDescriptor, b: FrameDescriptor): boolean => {
  const created = (a.epoch?.createdUnixNs ?? 0n) - (b.epoch?.createdUnixNs ?? 0n);
  return created === 0n ? a.seq > b.seq : created > 0n;
};

/**
 * Frames that a tap's member has heard of and not leased yet. latest: the newest one.
 * lossless: all, in the order of their numbers, each once; the owner sends no more
 * than the member may hold.
 */
export class Inbox {
  readonly #mode: 'latest' | 'lossless';
  #session = 0n;
  /** Lossless: what is next in line. */
  #expected = 1n;
  readonly #offers = new Map<bigint, Offer>();

  constructor(mode: 'latest' | 'lossless') {
    this.#mode = mode;
  }

  /** The membership that frames are taken of; 0 before the first. */
  get session(): bigint {
    return this.#session;
  }

  /** A newer membership begins; what is left of the one before will come again. */
  begin(session: bigint): void {
    if (session <= this.#session) return;
    this.#session = session;
    this.#expected = 1n;
    this.#offers.clear();
  }

  /** The membership is over; what comes of it from now on is too late. */
  end(): void {
    this.begin(this.#session + 1n);
  }

  put({ frame, session, number }: TapFrame): Put {
    this.begin(session);
    if (frame === undefined || session < this.#session) return { displaced: [], repeated: null };
    const offer = { frame, number, refused: false };
    if (this.#mode === 'latest') return { displaced: this.#replace(offer), repeated: null };
    if (number < this.#expected) return { displaced: [], repeated: number };
    if (!this.#offers.has(number)) this.#offers.set(number, offer);
    return { displaced: [], repeated: null };
  }

  /** The next frame in line, if it is there. */
  peek(): Offer | null {
    if (this.#mode === 'lossless') return this.#offers.get(this.#expected) ?? null;
    return this.#offers.values().next().value ?? null;
  }

  /** Whether this is still the next frame in line. */
  has(offer: Offer): boolean {
    return this.peek() === offer;
  }

  /** The frame that `peek` gave is done with. */
  remove(offer: Offer): void {
    if (!this.#offers.delete(offer.number)) return;
    this.#expected = offer.number + 1n;
  }

  #replace(offer: Offer): Offer[] {
    const older = this.peek();
    if (older !== null && !isNewer(offer.frame, older.frame)) return [offer];
    this.#offers.clear();
    this.#offers.set(offer.number, offer);
    return older === null ? [] : [older];
  }
}
