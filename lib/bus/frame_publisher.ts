import type { NatsConnection } from 'nats';
import { encodeFrame, encodeResult } from '../messages.js';
import { isConnected } from '../nats.js';
import * as subjects from '../subjects.js';
import type { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import type { FramePublisher } from './dispatcher.js';

export interface NatsFramePublisherOptions {
  streamId: string;
  /** Name of the stream's model; null: none. */
  model: string | null;
  mode: 'latest' | 'lossless';
}

/** Sends one stream's descriptors: to its model's workers, or directly to the sink. */
export class NatsFramePublisher implements FramePublisher {
  readonly #nats: NatsConnection;
  readonly #options: NatsFramePublisherOptions;
  readonly #onUninferred: (status: InferenceStatus) => void;

  constructor(
    nats: NatsConnection,
    options: NatsFramePublisherOptions,
    onUninferred: (status: InferenceStatus) => void,
  ) {
    this.#nats = nats;
    this.#options = options;
    this.#onUninferred = onUninferred;
  }

  frame(frame: FrameDescriptor): void {
    const { model, mode, streamId } = this.#options;
    if (model === null) throw new TypeError(`stream ${streamId} has no model to send frames to`);
    const subject =
      mode === 'lossless' ? subjects.losslessFrames(model, streamId) : subjects.frames(model, streamId);
    this.#publish(subject, encodeFrame({ frame, model }));
  }

  uninferred(frame: FrameDescriptor, status: InferenceStatus, reason: string): void {
    this.#onUninferred(status);
    this.#publish(
      subjects.results(this.#options.streamId),
      encodeResult(ResultMessage.fromPartial({ frame, status, reason })),
    );
  }

  /**
   * Without a server a live frame goes nowhere: the client would keep it without bound,
   * and nobody could lease it later. What a lossless stream sends is bounded by its pool.
   */
  #publish(subject: string, data: Uint8Array): void {
    if (this.#options.mode === 'lossless' || isConnected(this.#nats)) this.#nats.publish(subject, data);
  }
}
