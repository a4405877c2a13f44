import type { BusServer, DeliveryEnd, FrameFormat, HeldFrame, ProducerPool, RouteGroup } from '../../native/contract.js';
import { createProducerPool } from '../../native/index.js';
import { Dispatcher, type DispatcherOptions, type FramePublisher } from './dispatcher.js';
import type { TapPool } from './taps.js';

export interface EpochOptions {
  format: FrameFormat;
  slots: number;
  memory: 'shm' | 'dmabuf';
  /** The services' groups on the route. */
  groups: RouteGroup[];
  dispatch: DispatcherOptions;
}

/** One pool of a producer, and what becomes of its frames. */
export interface ProducerEpoch {
  readonly pool: ProducerPool;
  readonly dispatcher: Dispatcher;
  readonly format: FrameFormat;
  /** Slots that the program is writing to. */
  writing: number;
}

/** The pools of one producer: the newest, and those before whose frames somebody still has to take. */
export class ProducerEpochs implements TapPool {
  readonly #streamId: string;
  readonly #server: BusServer;
  readonly #publisher: FramePublisher;
  /** Oldest first. */
  #epochs: ProducerEpoch[] = [];
  /** Of taps. */
  readonly #groups = new Map<string, RouteGroup>();

  constructor(streamId: string, server: BusServer, publisher: FramePublisher) {
    this.#streamId = streamId;
    this.#server = server;
    this.#publisher = publisher;
  }

  /** The newest. */
  get current(): ProducerEpoch {
    const current = this.#epochs.at(-1);
    if (current === undefined) throw new Error(`stream ${this.#streamId}: no pool yet`);
    return current;
  }

  /** Makes a new pool; the ones before end when their frames have been taken. @throws NO_SPACE, BAD_OPTIONS, BUS_ADMISSION */
  open({ format, slots, memory, groups, dispatch }: EpochOptions): ProducerEpoch {
    const route = [...groups, ...this.#groups.values()];
    const options = { streamId: this.#streamId, format, memory, slots, groups: route };
    const pool = createProducerPool(this.#server, options);
    const deliveries = {
      endDelivery: (_epoch: string, slot: number, generation: bigint, group: string) =>
        pool.endDelivery(slot, generation, group),
      delivery: (_epoch: string, slot: number, generation: bigint, group: string) =>
        pool.delivery(slot, generation, group),
    };
    const dispatcher = new Dispatcher(dispatch, deliveries, this.#publisher, () => performance.now());
    const epoch: ProducerEpoch = { pool, dispatcher, format, writing: 0 };
    this.#epochs.push(epoch);
    return epoch;
  }

  /** Looks at what has become of the frames. `idle`: no tap waits for one either. */
  tick(idle: boolean): void {
    for (const { dispatcher } of this.#epochs) dispatcher.tick();
    const { current } = this;
    this.#epochs = this.#epochs.filter((epoch) => {
      if (epoch === current || !idle || epoch.writing > 0 || epoch.dispatcher.pending() > 0) return true;
      epoch.pool.close();
      return false;
    });
  }

  /** Frames that the services still have to take. */
  pending(): number {
    return this.#epochs.reduce((sum, { dispatcher }) => sum + dispatcher.pending(), 0);
  }

  /** A worker is gone; it had these frames. */
  lost(held: readonly HeldFrame[]): void {
    for (const { pool, dispatcher } of this.#epochs) {
      const mine = held.filter(({ epoch }) => epoch === pool.epoch);
      if (mine.length > 0) dispatcher.lost(mine.map((f) => [f.epoch, f.slot, f.generation]));
    }
  }

  /** lossless: NATS was away, and may have lost what it had. */
  resend(): void {
    for (const { dispatcher } of this.#epochs) dispatcher.resend();
  }

  /** Gives up what nobody has taken. */
  close(reason: string): void {
    for (const { pool, dispatcher } of this.#epochs) {
      dispatcher.flush(reason);
      pool.close();
    }
    this.#epochs = [];
  }

  endDelivery(epoch: string, slot: number, generation: bigint, group: string): DeliveryEnd {
    return this.#pool(epoch)?.endDelivery(slot, generation, group) ?? 'gone';
  }

  delivery(epoch: string, slot: number, generation: bigint, group: string): 'none' | 'held' | 'released' | 'gone' {
    return this.#pool(epoch)?.delivery(slot, generation, group) ?? 'gone';
  }

  openGroup(group: RouteGroup): void {
    this.#epochs.at(-1)?.pool.openGroup(group);
    this.#groups.set(group.name, group);
  }

  closeGroup(group: string): void {
    this.#groups.delete(group);
    for (const { pool } of this.#epochs) pool.closeGroup(group);
  }

  /** The program asks for slots when it has frames: there is nothing to pause. */
  setMode(): void {
    // See nextSlot of the producer.
  }

  #pool(epoch: string): ProducerPool | undefined {
    return this.#epochs.find(({ pool }) => pool.epoch === epoch)?.pool;
  }
}
