import type { NatsConnection } from 'nats';
import type { StreamConfig } from '../../lib/config.js';
import type { Log } from '../../lib/log.js';
import * as subjects from '../../lib/subjects.js';
import { FrameConsumer, type FrameConsumerOptions } from './frame_consumer.js';
import type { PulledMessage } from './pulled_message.js';

/** A frame that was sent to a worker and not leased, because that is stopped or dead, goes to another one after this. */
const ACK_WAIT_MS = 1_000;
/** The same; those after it wait for it, but must not be looked at twice because an attach takes long. */
const LOSSLESS_ACK_WAIT_MS = 3_000;

/** The consumers of a served model: one for each mode that streams have. */
export function frameConsumers(
  model: string,
  streams: readonly Pick<StreamConfig, 'mode'>[],
  nats: NatsConnection,
  log: Log,
  onFrame: (message: PulledMessage, lossless: boolean) => void,
): FrameConsumer[] {
  const modes = new Set(streams.map((stream) => stream.mode));
  return [...modes].map((mode) => {
    const lossless = mode === 'lossless';
    const options = lossless ? losslessConsumer(model) : latestConsumer(model);
    return new FrameConsumer(nats, options, (message) => onFrame(message, lossless), log);
  });
}

const latestConsumer = (model: string): FrameConsumerOptions => ({
  stream: subjects.FRAME_STREAM,
  durable: subjects.frameConsumer(model),
  filterSubject: subjects.framesOfModel(model),
  ackWaitMs: ACK_WAIT_MS,
});

const losslessConsumer = (model: string): FrameConsumerOptions => ({
  stream: subjects.LOSSLESS_FRAME_STREAM,
  durable: subjects.losslessFrameConsumer(model),
  filterSubject: subjects.losslessFramesOfModel(model),
  ackWaitMs: LOSSLESS_ACK_WAIT_MS,
});
