import { expect, test } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { FrameDescriptor } from '#proto/framebus/frame/v1/frame.js';
import { NatsServer } from '../../cli/nats_server.js';
import { connectNats, isConnected, keepFrameStreams } from '../../lib/nats.js';
import { ALL_RESULTS, FRAME_STREAM } from '../../lib/subjects.js';
import { NatsFramePublisher } from '../../lib/bus/frame_publisher.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { natsServer } from '../helpers/nats.js';

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
