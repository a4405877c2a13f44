import { expect, test } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { NatsServer } from '../../cli/nats_server.js';
import { connectNats, ensureFrameStreams, isConnected, keepFrameStreams } from '../../lib/nats.js';
import { decodeFrame } from '../../lib/messages.js';
import { ALL_FRAMES, ALL_LOSSLESS_FRAMES, ALL_RESULTS, FRAME_STREAM, LOSSLESS_FRAME_STREAM } from '../../lib/subjects.js';
import { NatsFramePublisher } from '../../lib/bus/frame_publisher.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { lastingNatsClient, natsServer } from '../helpers/nats.js';

test('while NATS is away live frames go nowhere instead of into an endless buffer', async () => {
  const first = await NatsServer.start();
  const { log } = captureLog();
  const nats = await connectNats({ url: first.url, name: 'ingest', log });
  await keepFrameStreams(nats, log);
  const frame = FrameDescriptor.fromPartial({ streamId: 'gate', seq: 1n });
  let uninferred = 0;
  const count = (): void => {
    uninferred += 1;
  };
  const live = new NatsFramePublisher(nats, { streamId: 'live', model: 'm', mode: 'latest' }, count);

  await first.close();
  await eventually('the loss is noticed', () => !isConnected(nats));
  for (let i = 0; i < 100; i++) {
    live.frame(frame, 0);
    live.uninferred(frame, InferenceStatus.INFERENCE_STATUS_EXPIRED, '');
  }
  // What went nowhere is counted all the same.
  expect(uninferred).toBe(100);

  const results: string[] = [];
  nats.subscribe(ALL_RESULTS, { callback: (_error, { subject }) => void results.push(subject) });
  await natsServer({ port: first.port });
  await eventually('connected again', () => isConnected(nats));
  const manager = await nats.jetstreamManager({ checkAPI: false });
  const messages = async (stream: string): Promise<number> => (await manager.streams.info(stream)).state.messages;
  await eventually('the streams are there', async () => (await messages(FRAME_STREAM)) >= 0);
  live.frame(frame, 0);
  await eventually('a live frame', async () => (await messages(FRAME_STREAM)) === 1);
  live.uninferred(frame, InferenceStatus.INFERENCE_STATUS_SKIPPED, '');
  await eventually('a result', () => results.length > 0);
  // Only what was published after the server came back.
  expect(results).toEqual(['fb.results.live']);
  await nats.close();
});

test.each(['latest', 'lossless'] as const)('frames go to another model between two frames (%s)', async (mode) => {
  const nats = await lastingNatsClient((await natsServer()).url);
  await ensureFrameStreams(nats);
  const subject: string[] = [];
  nats.subscribe(mode === 'latest' ? ALL_FRAMES : ALL_LOSSLESS_FRAMES, {
    callback: (_error, message) => {
      const { frame, model } = decodeFrame(message.data);
      subject.push(`${message.subject} ${model} ${String(frame?.seq)}`);
    },
  });
  const publisher = new NatsFramePublisher(nats, { streamId: 'gate', model: 'a', mode }, () => undefined);
  const frame = (seq: bigint): FrameDescriptor => FrameDescriptor.fromPartial({ streamId: 'gate', slot: Number(seq), seq, epoch: { uuid: 'e' } });
  publisher.frame(frame(1n), 0);
  publisher.setModel('b');
  expect(publisher.model).toBe('b');
  publisher.frame(frame(2n), 0);
  // One that the other model's workers have not taken: for these it is no repetition.
  publisher.frame(frame(1n), 0);
  publisher.setModel(null);
  expect(() => {
    publisher.frame(frame(3n), 0);
  }).toThrow('stream gate has no model');
  await nats.flush();
  const prefix = mode === 'latest' ? 'fb.frames' : 'fb.lossless';
  await eventually('three frames', () => subject.length === 3);
  expect(subject).toEqual([`${prefix}.a.gate a 1`, `${prefix}.b.gate b 2`, `${prefix}.b.gate b 1`]);
  const manager = await nats.jetstreamManager({ checkAPI: false });
  const { state } = await manager.streams.info(mode === 'latest' ? FRAME_STREAM : LOSSLESS_FRAME_STREAM);
  expect(state.messages).toBe(mode === 'latest' ? 2 : 3);
});
