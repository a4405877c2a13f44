import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';

/** Turns that are remembered, because frames come out of order. */
const REMEMBERED = 64;

/**
 * Whose turn it is to be looked at, when not every frame is: of each `interval` + 1
 * consecutive frames of an epoch the first one that comes. Frames may come in any order.
 */
export class TurnRecord {
  readonly #taken = new Map<string, Set<string>>();

  /** Whether this frame is to be looked at; the turn is then over for its neighbours. */
  take(key: string, { epoch, seq }: Pick<FrameDescriptor, 'epoch' | 'seq'>, interval: number): boolean {
    if (interval === 0) return true;
    const turn = `${epoch?.uuid ?? ''}/${seq / BigInt(interval + 1)}`;
    const taken = this.#taken.get(key) ?? new Set();
    this.#taken.set(key, taken);
    if (taken.has(turn)) return false;
    taken.add(turn);
    for (const oldest of taken) {
      if (taken.size <= REMEMBERED) break;
      taken.delete(oldest);
    }
    return true;
  }
}
