import type { TapFrame } from '#proto/framebus/tap/v1/tap.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import type { Unversioned } from '../messages.js';
import type { Deliveries } from './dispatcher.js';

export interface TapOptions {
  /** Name of the consumer group. */
  group: string;
  mode: 'latest' | 'lossless';
  /** Whether the source goes on whatever happens: then lossless means as many as may be held. */
  live: boolean;
  /** A frame that was sent and not taken for so long is sent again (lossless); the last one is waited for so long (latest). */
  resendMs: number;
}

/** Where a tap's frames go. */
export type SendTapFrame = (member: string, frame: Unversioned<TapFrame>) => void;

/** A frame that protects its slot for the tap. */
interface Pending {
  frame: FrameDescriptor;
  deliveries: Deliveries;
  /** When it was published, or sent, in milliseconds of the injected clock. */
  sinceMs: number;
}

interface Sent extends Pending {
  number: bigint;
  /** A member has, or had, a lease. */
  taken: boolean;
  /** Given up; asked again while it is open whether a member was just leasing it. */
  ended: boolean;
}

interface Member {
  name: string;
  session: bigint;
  hold: number;
  nextNumber: bigint;
  sent: Sent[];
}

const delivery = ({ frame, deliveries }: Pending, group: string): ReturnType<Deliveries['delivery']> =>
  deliveries.delivery(frame.epoch?.uuid ?? '', frame.slot, frame.generation, group);

/** Order of frames over the epochs of a stream. */
function compare({ frame: a }: Pending, { frame: b }: Pending): number {
  const created = (a.epoch?.createdUnixNs ?? 0n) - (b.epoch?.createdUnixNs ?? 0n);
  return Number(created === 0n ? a.seq - b.seq : created);
}

/**
 * One consumer group that a stream's frames are given to on request. Each frame goes to
 * one member, which leases it when it wants it; until then the delivery protects it.
 *
 * A frame is sent to another member only when the first one is gone, and again to the
 * same one with its old number: so nobody gets a frame twice, and none is lost.
 */
export class Tap {
  readonly #options: TapOptions;
  readonly #send: SendTapFrame;
  readonly #nowMs: () => number;
  /** In the order of the last frame that each was sent: whoever waits longest is next. */
  readonly #members = new Map<string, Member>();
  /** Not sent yet, oldest first. latest: one at most. lossless: bounded by the pool. */
  #backlog: Pending[] = [];
  #displaced = 0;

  constructor(options: TapOptions, send: SendTapFrame, nowMs: () => number) {
    this.#options = options;
    this.#send = send;
    this.#nowMs = nowMs;
  }

  get mode(): 'latest' | 'lossless' {
    return this.#options.mode;
  }

  /** Most frames that its members want to hold together; 0 without members. */
  get hold(): number {
    return Math.max(0, ...[...this.#members.values()].map(({ hold }) => hold));
  }

  members(): string[] {
    return [...this.#members.keys()];
  }

  /** Number of a member's membership; null for others. */
  session(name: string): bigint | null {
    return this.#members.get(name)?.session ?? null;
  }

  /** Frames that a member may hold; 0 for others. */
  holdOf(name: string): number {
    return this.#members.get(name)?.hold ?? 0;
  }

  join(name: string, session: bigint, hold: number): void {
    this.#members.set(name, { name, session, hold, nextNumber: 1n, sent: [] });
    this.#pump();
  }

  /** A member is gone: what it has not finished goes to others, or waits for one. */
  leave(name: string): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    this.#members.delete(name);
    for (const sent of member.sent) {
      if (!sent.ended && delivery(sent, this.#options.group) === 'none') this.#backlog.push(sent);
    }
    this.#backlog.sort(compare);
    this.#displaceBacklog();
    this.tick();
  }

  /** A member is done with these frames; if it did not lease one, it could not. */
  missed(name: string, numbers: readonly bigint[]): void {
    const member = this.#members.get(name);
    if (member === undefined || numbers.length === 0) return;
    member.sent = member.sent.filter((sent) => {
      // It may have leased the frame, and then got the message once more.
      if (!numbers.includes(sent.number) || delivery(sent, this.#options.group) !== 'none') return true;
      return this.#end(sent);
    });
    this.#pump();
  }

  /** A frame has just been published. */
  dispatch(frame: FrameDescriptor, deliveries: Deliveries): void {
    this.#look();
    if (this.#options.mode === 'latest') this.#displaceSent();
    this.#backlog.push({ frame, deliveries, sinceMs: this.#nowMs() });
    this.#displaceBacklog();
    this.#pump();
  }

  /** Looks at what has become of the frames; call it often. */
  tick(): void {
    this.#look();
    this.#pump();
  }

  /** Frames that somebody still has to take, and will be waited for at the stream's end. */
  pending(): number {
    const waiting = [...this.#backlog, ...this.#sent().filter(({ taken }) => !taken)];
    if (this.#options.mode === 'lossless') return waiting.length;
    return waiting.filter((pending) => !this.#isOverdue(pending)).length;
  }

  /** The pool of these frames is over. */
  forget(deliveries: Deliveries): void {
    const others = (pending: Pending): boolean => pending.deliveries !== deliveries;
    this.#backlog = this.#backlog.filter(others);
    for (const member of this.#members.values()) member.sent = member.sent.filter(others);
  }

  #sent(): Sent[] {
    return [...this.#members.values()].flatMap(({ sent }) => sent);
  }

  #look(): void {
    for (const member of this.#members.values()) {
      member.sent = member.sent.filter((sent) => this.#isOut(member, sent));
    }
  }

  /** Whether a member has the frame, or is still to take it. */
  #isOut(member: Member, sent: Sent): boolean {
    switch (delivery(sent, this.#options.group)) {
      case 'held':
        sent.taken = true;
        return true;
      case 'none':
        if (sent.ended) return this.#end(sent);
        // Taken, and not any more: its member is gone, and `leave` is about to follow.
        if (!sent.taken && this.#options.mode === 'lossless' && this.#isOverdue(sent)) this.#sendTo(member, sent);
        return true;
      case 'released':
      case 'gone': // Taken, used and reused since the last look; or its slot was needed (live).
        return false;
    }
  }

  #isOverdue(pending: Pending): boolean {
    return this.#nowMs() - pending.sinceMs > this.#options.resendMs;
  }

  /** latest: what has been sent and not taken makes room for a newer frame. */
  #displaceSent(): void {
    for (const member of this.#members.values()) {
      member.sent = member.sent.filter((sent) => sent.taken || this.#end(sent));
    }
  }

  /** Keeps as many frames from being reused as the mode allows. */
  #displaceBacklog(): void {
    const { mode, live } = this.#options;
    const room = mode === 'latest' ? 1 : live ? Math.max(1, this.hold - this.#sent().length) : Infinity;
    while (this.#backlog.length > room) {
      const oldest = this.#backlog.shift();
      if (oldest === undefined) return;
      this.#endPending(oldest);
      this.#displaced++;
    }
  }

  /** Gives a frame up; whether a member has it all the same, or may have it. */
  #end(sent: Sent): boolean {
    sent.ended = true;
    const end = this.#endPending(sent);
    if (end === 'taken') sent.taken = true;
    return end === 'taken' || end === 'undecided';
  }

  #endPending({ frame, deliveries }: Pending): ReturnType<Deliveries['endDelivery']> {
    return deliveries.endDelivery(frame.epoch?.uuid ?? '', frame.slot, frame.generation, this.#options.group);
  }

  /** The next frames go out as the ones before are done with. */
  #pump(): void {
    const { hold } = this;
    while (this.#backlog.length > 0 && this.#sent().length < hold) {
      const member = this.#next();
      const pending = member === undefined ? undefined : this.#backlog.shift();
      if (member === undefined || pending === undefined) return;
      const sent: Sent = { ...pending, number: member.nextNumber++, taken: false, ended: false };
      member.sent.push(sent);
      // Last in line.
      this.#members.delete(member.name);
      this.#members.set(member.name, member);
      this.#sendTo(member, sent);
    }
  }

  /** The member with the fewest frames, of those the one that has waited longest. */
  #next(): Member | undefined {
    let next: Member | undefined;
    for (const member of this.#members.values()) {
      if (member.sent.length >= member.hold) continue;
      if (next === undefined || member.sent.length < next.sent.length) next = member;
    }
    return next;
  }

  #sendTo({ name, session }: Member, sent: Sent): void {
    sent.sinceMs = this.#nowMs();
    const displacedBefore = this.#displaced;
    this.#displaced = 0;
    this.#send(name, { frame: sent.frame, session, number: sent.number, displacedBefore });
  }
}
