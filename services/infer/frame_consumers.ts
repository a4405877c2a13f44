import type { NatsConnection } from 'nats';
import type { StreamConfig } from '../../lib/config.js';
import type { Log } from '../../lib/log.js';
import * as subjects from '../../lib/subjects.js';
import { FrameConsumer, type FrameConsumerOptions } from './frame_consumer.js';
import type { PulledMessage } from './pulled_message.js';

/** Frames of a dead worker come to another one after this. */
const ACK_WAIT_MS = 1_000;
/** Longer than any batch takes: a lossless frame is acknowledged when its result is out. */
const LOSSLESS_ACK_WAIT_MS = 30_000;

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
