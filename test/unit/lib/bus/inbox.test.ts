import { describe, expect, it } from 'vitest';
import { TapFrame } from '#proto/framebus/tap/v1/tap.js';
import { Inbox } from '../../../../lib/bus/inbox.js';

const message = (seq: number, number = seq + 1, session = 5n): TapFrame =>
  TapFrame.fromPartial({
    frame: { seq: BigInt(seq), slot: seq, epoch: { uuid: 'e', createdUnixNs: 1n } },
    session,
    number: BigInt(number),
  });

/** Takes all that is in line. */
function drain(inbox: Inbox): number[] {
  const seqs: number[] = [];
  for (let offer = inbox.peek(); offer !== null; offer = inbox.peek()) {
    seqs.push(Number(offer.frame.seq));
    inbox.remove(offer);
  }
  return seqs;
}

describe('Inbox', () => {
  it('latest: keeps the newest, and says which ones it displaces', () => {
    const inbox = new Inbox('latest');
    expect(inbox.put(message(0)).displaced).toEqual([]);
    expect(inbox.put(message(2)).displaced.map(({ frame }) => Number(frame.seq))).toEqual([0]);
    // One that came back from a member that is gone.
    expect(inbox.put(message(1, 4)).displaced.map(({ frame }) => Number(frame.seq))).toEqual([1]);
    expect(drain(inbox)).toEqual([2]);
  });

  it('latest: a newer pool is newer whatever its numbers are', () => {
    const inbox = new Inbox('latest');
    inbox.put(message(100));
    const next = message(0, 2);
    next.frame!.epoch!.createdUnixNs = 2n;
    inbox.put(next);
    expect(drain(inbox)).toEqual([0]);
  });

  it('lossless: gives frames by their number, each once, whatever is lost or repeated on the way', () => {
    const inbox = new Inbox('lossless');
    inbox.put(message(1));
    expect(inbox.peek()).toBeNull();
    inbox.put(message(0));
    inbox.put(message(1));
    expect(drain(inbox)).toEqual([0, 1]);
    expect(inbox.put(message(0)).repeated).toBe(1n);
    expect(drain(inbox)).toEqual([]);
    inbox.put(message(2));
    expect(drain(inbox)).toEqual([2]);
  });

  it('lossless: begins anew with a new membership, and forgets the one before', () => {
    const inbox = new Inbox('lossless');
    inbox.put(message(0));
    inbox.put(message(1));
    inbox.put(message(7, 1, 6n));
    expect(drain(inbox)).toEqual([7]);
    inbox.put(message(2, 3, 5n));
    expect(inbox.peek()).toBeNull();
    inbox.end();
    inbox.put(message(8, 2, 6n));
    expect(inbox.peek()).toBeNull();
    inbox.put(message(8, 1, 9n));
    expect(drain(inbox)).toEqual([8]);
  });
});
