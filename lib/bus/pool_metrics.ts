import { Counter, Gauge, type Registry } from 'prom-client';
import type { ConsumerState, PoolState } from '../../native/contract.js';

/**
 * Metrics of a producer's pools, by stream: a stream's pools come and go with its epochs,
 * its counters go on. What a pool counts between the last look at it and its end is not in
 * them; `see` is called once a second, and by whoever reads the metrics.
 */
export class PoolMetrics {
  readonly #published: Counter<'stream'>;
  readonly #displaced: Counter<'stream'>;
  readonly #deliveries: Counter<'stream' | 'group' | 'outcome'>;
  readonly #frames: Counter<'stream' | 'consumer' | 'group' | 'outcome'>;
  readonly #revocations: Counter<'consumer' | 'group'>;
  readonly #slots: Gauge<'stream' | 'memory' | 'state'>;
  readonly #held: Gauge<'stream' | 'consumer' | 'group' | 'what'>;
  /** Totals when last looked at, by what and where, and the metric that takes what is new. */
  #counts = new Map<string, { total: bigint; add: (more: number) => void }>();

  constructor(registry: Registry, pools: () => readonly PoolState[]) {
    const registers = [registry];
    // The first in the registry, so that what it looks at is there for all that follow.
    this.#slots = new Gauge({
      name: 'framebus_bus_slots',
      help: 'Slots of a stream’s pools by state: free, writing, published.',
      labelNames: ['stream', 'memory', 'state'],
      registers,
      collect: () => {
        this.see(pools());
      },
    });
    const counter = <T extends string>(name: string, help: string, labelNames: T[]): Counter<T> =>
      new Counter({ name: `framebus_bus_${name}_total`, help, labelNames, registers });
    this.#published = counter('frames_published', 'Frames published in the bus.', ['stream']);
    this.#displaced = counter(
      'frames_displaced',
      'Frames given up for newer ones before every group had taken them.',
      ['stream'],
    );
    this.#deliveries = counter('deliveries', 'Frames that a group took (delivered) or did not (missed).', [
      'stream',
      'group',
      'outcome',
    ]);
    this.#frames = counter(
      'consumer_frames',
      'Frames by what became of them at a consumer: delivered, stale, quota, displaced.',
      ['stream', 'consumer', 'group', 'outcome'],
    );
    this.#revocations = counter('revocations', 'Consumers that were fenced: all their leases were taken back.', [
      'consumer',
      'group',
    ]);
    this.#held = new Gauge({
      name: 'framebus_bus_held_frames',
      help: 'Frames that a consumer holds (now), has held (most), and may hold (granted).',
      labelNames: ['stream', 'consumer', 'group', 'what'],
      registers,
    });
  }

  /** A consumer was fenced. */
  revoked(consumer: string, group: string): void {
    this.#revocations.inc({ consumer, group });
  }

  /** Takes the pools' counters over. */
  see(pools: readonly PoolState[]): void {
    this.#slots.reset();
    this.#held.reset();
    const before = this.#counts;
    this.#counts = new Map();
    for (const pool of pools) this.#seePool(pool);
    for (const [key, { total, add }] of this.#counts) {
      const was = before.get(key)?.total ?? 0n;
      // A count that is smaller than before has begun anew.
      add(Number(total >= was ? total - was : total));
    }
  }

  #seePool(pool: PoolState): void {
    const { streamId: stream, epoch, memory } = pool;
    for (const state of ['free', 'writing', 'published'] as const) {
      this.#slots.inc({ stream, memory, state }, pool[state]);
    }
    this.#count(`${epoch} published`, pool.framesPublished, (more) => {
      this.#published.inc({ stream }, more);
    });
    this.#count(`${epoch} displaced`, pool.framesDisplaced, (more) => {
      this.#displaced.inc({ stream }, more);
    });
    for (const { name: group, ...counts } of pool.groups) {
      for (const outcome of ['delivered', 'missed'] as const) {
        this.#count(`${epoch} ${group} ${outcome}`, counts[outcome], (more) => {
          this.#deliveries.inc({ stream, group, outcome }, more);
        });
      }
    }
    for (const consumer of pool.consumers) this.#seeConsumer(pool, consumer);
  }

  #seeConsumer({ streamId: stream, epoch }: PoolState, state: ConsumerState): void {
    const { consumer, group } = state;
    const labels = { stream, consumer, group };
    for (const outcome of ['delivered', 'stale', 'quota', 'displaced'] as const) {
      this.#count(`${epoch} ${group} ${consumer} ${outcome}`, state[outcome], (more) => {
        this.#frames.inc({ ...labels, outcome }, more);
      });
    }
    this.#held.inc({ ...labels, what: 'now' }, state.held);
    this.#held.inc({ ...labels, what: 'most' }, state.heldMost);
    this.#held.inc({ ...labels, what: 'granted' }, state.hold);
  }

  /** Several connections under one name count together. */
  #count(key: string, value: bigint, add: (more: number) => void): void {
    this.#counts.set(key, { total: (this.#counts.get(key)?.total ?? 0n) + value, add });
  }
}
