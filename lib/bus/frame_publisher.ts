import { headers, type NatsConnection } from 'nats';
import { encodeFrame, encodeResult } from '../messages.js';
import { isConnected } from '../nats.js';
import * as subjects from '../subjects.js';
import type { DropReason } from '../counters.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { FramePublisher } from './dispatcher.js';

/** JetStream keeps one message of an id within its window. */
const MESSAGE_ID = 'Nats-Msg-Id';

/** As what frames are counted that nobody looked at. */
const REASONS: Partial<Record<InferenceStatus, DropReason>> = {
  [InferenceStatus.INFERENCE_STATUS_SKIPPED]: 'skipped',
  [InferenceStatus.INFERENCE_STATUS_OVERLOADED]: 'overloaded',
  [InferenceStatus.INFERENCE_STATUS_SUPERSEDED]: 'superseded',
  [InferenceStatus.INFERENCE_STATUS_EXPIRED]: 'expired',
  [InferenceStatus.INFERENCE_STATUS_WORKER_LOST]: 'worker_lost',
};

export interface NatsFramePublisherOptions {
  streamId: string;
  /** Name of the stream's model; null: none. May be changed later. */
  model: string | null;
  mode: 'latest' | 'lossless';
}

/** Sends one stream's descriptors: to its model's workers, or directly to the sink. */
export class NatsFramePublisher implements FramePublisher {
  readonly #nats: NatsConnection;
  readonly #options: NatsFramePublisherOptions;
  readonly #onUninferred: (reason: DropReason) => void;
  #model: string | null;

  constructor(
    nats: NatsConnection,
    options: NatsFramePublisherOptions,
    onUninferred: (reason: DropReason) => void,
  ) {
    this.#nats = nats;
    this.#options = options;
    this.#onUninferred = onUninferred;
    this.#model = options.model;
  }

  /** Name of the model whose workers get the frames. */
  get model(): string | null {
    return this.#model;
  }

  /** Frames go to another model's workers from the next one on. */
  setModel(model: string | null): void {
    this.#model = model;
  }

  frame(frame: FrameDescriptor, attempt: number): void {
    const { mode, streamId } = this.#options;
    const model = this.#model;
    if (model === null) throw new TypeError(`stream ${streamId} has no model to send frames to`);
    const data = encodeFrame({ frame, model });
    if (mode === 'latest') return this.#publish(subjects.frames(model, streamId), data);
    const { epoch, slot, generation } = frame;
    // The server drops what it has seen; for another model the same frame is another message.
    const id = `${epoch?.uuid ?? ''}/${String(slot)}/${String(generation)}/${String(attempt)}/${model}`;
    this.#publish(subjects.losslessFrames(model, streamId), data, id);
  }

  uninferred(frame: FrameDescriptor, status: InferenceStatus, reason: string): void {
    const dropReason = REASONS[status];
    if (dropReason !== undefined) this.#onUninferred(dropReason);
    this.repeat(frame, status, reason);
  }

  repeat(frame: FrameDescriptor, status: InferenceStatus, reason: string): void {
    this.#publish(
      subjects.results(this.#options.streamId),
      encodeResult(ResultMessage.fromPartial({ frame, status, reason, times: { publishedNs: process.hrtime.bigint() } })),
    );
  }

  /**
   * Without a server a live frame goes nowhere: the client would keep it without bound,
   * and nobody could lease it later. What a lossless stream sends is bounded by its pool.
   */
  #publish(subject: string, data: Uint8Array, messageId?: string): void {
    if (this.#options.mode === 'latest' && !isConnected(this.#nats)) return;
    if (messageId === undefined) return this.#nats.publish(subject, data);
    const sent = headers();
    sent.set(MESSAGE_ID, messageId);
    this.#nats.publish(subject, data, { headers: sent });
  }
}
