import type { Counters } from '../../lib/counters.js';
import { codeOf, messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { LogLimit } from '../../lib/log_limit.js';
import { decodeFrame } from '../../lib/messages.js';
import type { BusConsumer, FrameLease, LeaseRefusal } from '../../native/contract.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { GpuFrames } from './gpu_frames.js';
import type { LeasedFrame } from './leased_frame.js';
import type { PulledMessage } from './pulled_message.js';

type Bus = Pick<BusConsumer, 'attach' | 'lease' | 'held'>;
type Message = Pick<PulledMessage, 'data' | 'subject' | 'ack' | 'nak'>;

/** Who takes the frames. */
export interface FrameReceiver {
  /** A frame was received whose pool has to be attached first; −1 when that is over. */
  attaching(change: 1 | -1): void;
  add(frame: LeasedFrame): void;
  /** There is room for another frame. */
  pump(): void;
}

/** Another worker may have room for a frame that this one cannot hold. */
const RETURN_MS = 5;

/**
 * Leases frames the moment their descriptors arrive. A frame that cannot be
 * leased any more is forgotten: ingest has answered for it, or will.
 */
export class FrameTaker {
  readonly #bus: Bus;
  readonly #counters: Counters;
  readonly #log: Log;
  readonly #leaseDeadlineMs: number;
  readonly #limit = new LogLimit();
  readonly #gpuFrames: GpuFrames;

  /** @param leaseDeadlineMs `bus.lease_deadline`; 0: leases have none */
  constructor(bus: Bus, counters: Counters, log: Log, leaseDeadlineMs: number) {
    this.#bus = bus;
    this.#counters = counters;
    this.#log = log;
    this.#leaseDeadlineMs = leaseDeadlineMs;
    this.#gpuFrames = new GpuFrames(log);
  }

  /** @param lossless of a stream whose frames may wait, and fill batches by themselves */
  take(message: Message, lossless: boolean, receiver: FrameReceiver): void {
    const frame = this.#read(message);
    if (frame === null) return message.ack();
    const { uuid } = frame.epoch;
    const lease = this.#bus.lease(uuid, frame.slot, frame.generation);
    if (lease !== 'unattached') return this.#onLease(lease, frame, message, lossless, receiver);
    receiver.attaching(1);
    this.#bus
      .attach(frame.producer, uuid)
      .then(
        () => this.#bus.lease(uuid, frame.slot, frame.generation),
        (error: unknown) => {
          this.#warn({ producer: frame.producer, code: codeOf(error) }, `attaching a pool failed: ${messageOf(error)}`);
          return 'unattached' as const;
        },
      )
      .then((late) => {
        receiver.attaching(-1);
        this.#onLease(late, frame, message, lossless, receiver);
      })
      .catch((error: unknown) => this.#log.error({ err: error }, 'taking a frame failed'));
  }

  #read(message: Message): (FrameDescriptor & { epoch: NonNullable<FrameDescriptor['epoch']> }) | null {
    try {
      const { frame } = decodeFrame(message.data);
      if (frame?.epoch === undefined) throw new Error('the message names no frame');
      return { ...frame, epoch: frame.epoch };
    } catch (error) {
      // The stream is the last token of the subject, whatever the message is.
      this.#counters.stream(message.subject.split('.').at(-1) ?? '').drop('unknown_version');
      this.#warn({ subject: message.subject }, `a message was dropped: ${messageOf(error)}`);
      return null;
    }
  }

  #onLease(
    lease: FrameLease | LeaseRefusal,
    frame: FrameDescriptor,
    message: Message,
    lossless: boolean,
    receiver: FrameReceiver,
  ): void {
    const counters = this.#counters.stream(frame.streamId);
    if (lease === 'quota') {
      message.nak(RETURN_MS);
      this.#warn({ stream: frame.streamId, held: this.#bus.held() }, 'a frame was given back: too many are held');
    } else if (typeof lease === 'string') {
      counters.drop('stale');
      message.ack();
    } else {
      counters.frameIn();
      counters.setSize(lease.format.width, lease.format.height);
      this.#gpuFrames.see(lease.memory);
      // From here on ingest sees in the lane whose it is: if that worker dies, it gives the frame anew.
      message.ack();
      const leasedNs = process.hrtime.bigint();
      const deadlineMs = lossless ? Number.POSITIVE_INFINITY : this.#deadlineMs();
      receiver.add({ streamId: frame.streamId, oneABatch: !lossless, deadlineMs, frame, lease, leasedNs });
      return;
    }
    receiver.pump();
  }

  /** Of a lease that begins now. A lossless frame has none: whose lease is taken back comes again. */
  #deadlineMs(): number {
    return this.#leaseDeadlineMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + this.#leaseDeadlineMs;
  }

  #warn(fields: object, text: string): void {
    const skipped = this.#limit.take(text);
    if (skipped !== null) this.#log.warn({ ...fields, skipped }, text);
  }
}
