import type { BusConsumer, FrameLease, LeaseRefusal } from '../../native/contract.js';
import { codeOf } from '../../lib/errors.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { LaterLease, type Received } from './stream.js';

/** Results that may wait while their pool is attached. */
const MAX_WAITING = 64;
/** Pause after a failed attach. */
const RETRY_MS = 1_000;
/** Pools whose failure is remembered. */
const MAX_REMEMBERED = 64;

export interface FrameLeaserListener {
  /** A result, with its frame when that could be leased; in the order of arrival per pool. */
  received(received: Received): void;
  /** A pool is attached; it took so long, and so many results waited for it. */
  attached(producer: string, epoch: string, ms: number, waited: number): void;
  /** A pool could not be attached; its frames come without picture for now. */
  attachFailed(producer: string, epoch: string, error: unknown): void;
  /** A frame was there, but the consumer holds as many as it may. */
  quotaReached(): void;
}

/** A pool that cannot be leased from right now. */
type Unready = { waiting: Omit<Received, 'lease'>[] } | { retryAtMs: number };

/** Leases the frame of each result at once (of lossless streams: in its turn), and attaches pools when their first frame comes. */
export class FrameLeaser {
  readonly #consumer: Pick<BusConsumer, 'attach' | 'lease' | 'hold'>;
  readonly #listener: FrameLeaserListener;
  readonly #nowMs: () => number;
  readonly #unready = new Map<string, Unready>();
  /** Whether the frames of a stream are leased when their turn comes, not on arrival. */
  readonly #isLossless: (streamId: string) => boolean;

  constructor(
    consumer: Pick<BusConsumer, 'attach' | 'lease' | 'hold'>,
    listener: FrameLeaserListener,
    isLossless: (streamId: string) => boolean,
    nowMs: () => number,
  ) {
    this.#consumer = consumer;
    this.#listener = listener;
    this.#isLossless = isLossless;
    this.#nowMs = nowMs;
  }

  take(received: Omit<Received, 'lease'>): void {
    const epoch = received.frame.epoch?.uuid ?? '';
    const unready = this.#unready.get(epoch);
    if (unready && 'waiting' in unready) {
      this.#wait(unready.waiting, received);
    } else if (unready && this.#nowMs() < unready.retryAtMs) {
      this.#listener.received({ ...received, lease: null });
    } else {
      this.#lease(received, epoch, true);
    }
  }

  #lease(received: Omit<Received, 'lease'>, epoch: string, mayAttach: boolean): void {
    const { slot, generation, producer, streamId } = received.frame;
    const leaseNow = (): FrameLease | LeaseRefusal => this.#consumer.lease(epoch, slot, generation);
    const lease = this.#isLossless(streamId) ? this.#leaseLater(epoch, leaseNow) : leaseNow();
    if (lease === 'unattached' && mayAttach) {
      const waiting = [received];
      this.#unready.set(epoch, { waiting });
      void this.#attach(producer, epoch, waiting);
      return;
    }
    if (lease === 'quota') this.#listener.quotaReached();
    this.#listener.received({ ...received, lease: typeof lease === 'string' ? null : lease });
  }

  #leaseLater(epoch: string, lease: () => FrameLease | LeaseRefusal): LaterLease | 'unattached' {
    return this.#consumer.hold(epoch) > 0 ? new LaterLease(lease) : 'unattached';
  }

  #wait(waiting: Omit<Received, 'lease'>[], received: Omit<Received, 'lease'>): void {
    waiting.push(received);
    if (waiting.length <= MAX_WAITING) return;
    const oldest = waiting.shift();
    if (oldest) this.#listener.received({ ...oldest, lease: null });
  }

  async #attach(producer: string, epoch: string, waiting: Omit<Received, 'lease'>[]): Promise<void> {
    const startedMs = this.#nowMs();
    try {
      await this.#consumer.attach(producer, epoch);
      this.#unready.delete(epoch);
      this.#listener.attached(producer, epoch, this.#nowMs() - startedMs, waiting.length);
    } catch (error) {
      const gone = codeOf(error) === 'BUS_EPOCH_GONE';
      this.#remember(epoch, gone ? Infinity : this.#nowMs() + RETRY_MS);
      this.#listener.attachFailed(producer, epoch, error);
    }
    // A pool that is lost again by now is attached anew by the next frame, not in a circle.
    const ready = !this.#unready.has(epoch);
    for (const received of waiting) {
      if (ready) this.#lease(received, epoch, false);
      else this.#listener.received({ ...received, lease: null });
    }
  }

  #remember(epoch: string, retryAtMs: number): void {
    this.#unready.delete(epoch);
    this.#unready.set(epoch, { retryAtMs });
    if (this.#unready.size <= MAX_REMEMBERED) return;
    for (const [oldest, unready] of this.#unready) {
      if ('waiting' in unready) continue;
      this.#unready.delete(oldest);
      return;
    }
  }
}

/** Whether a descriptor names a frame at all. */
export function isComplete(frame: FrameDescriptor | undefined): frame is FrameDescriptor {
  return frame?.epoch !== undefined && frame.format !== undefined && frame.producer !== '';
}
