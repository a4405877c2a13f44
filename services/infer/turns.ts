/** Streams that are remembered; names come from messages, which anybody may send. */
const MOST_STREAMS = 4_096;

/** Whose turn it is: who was served longest ago, or never. */
export class Turns {
  /** The one that was served last is last. */
  readonly #served = new Set<string>();

  served(stream: string): void {
    this.#served.delete(stream);
    this.#served.add(stream);
    if (this.#served.size <= MOST_STREAMS) return;
    for (const oldest of this.#served) {
      this.#served.delete(oldest);
      return;
    }
  }

  /** The items in the order of their streams' turns; of equal right, in the order given. */
  inTurn<T>(items: readonly T[], streamOf: (item: T) => string): T[] {
    const places = new Map([...this.#served].map((stream, place) => [stream, place]));
    const placeOf = (item: T): number => places.get(streamOf(item)) ?? -1;
    return items.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
