import { RetentionPolicy, StorageType } from 'nats';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsServer } from '../../cli/nats_server.js';
import { connectNats, connectNatsOnce, ensureFrameStreams, isConnected, keepFrameStreams } from '../../lib/nats.js';
import { FRAME_STREAM, frames, LOSSLESS_FRAME_STREAM, losslessFrames } from '../../lib/subjects.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { natsClient, natsServer } from '../helpers/nats.js';

describe('connecting', () => {
  test('tries again until the server is there, and says so each time', async () => {
    const first = await natsServer();
    const { port } = first;
    await first.close();
    const { log, text } = captureLog();
    const connecting = connectNats({ url: `nats://127.0.0.1:${port}`, name: 'late', log });
    await eventually('two failed tries', () => text().split('trying again').length > 2);
    expect(text()).toContain(
      `NATS at nats://127.0.0.1:${port} is not reachable (connection refused); trying again in 0.25 s`,
    );
    await natsServer({ port });
    const nats = await connecting;
    expect(isConnected(nats)).toBe(true);
    await nats.close();
    expect(isConnected(nats)).toBe(false);
  });

  test('stops trying when told to', async () => {
    const server = await natsServer();
    await server.close();
    const abort = new AbortController();
    const { log, text } = captureLog();
    const connecting = connectNats({ url: server.url, name: 'never', log, signal: abort.signal });
    await eventually('a failed try', () => text().includes('trying again'));
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('stops at once although the server accepts and says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const abort = new AbortController();
    const { log, lines } = captureLog();
    const connecting = connectNats({ url: `nats://127.0.0.1:${port}`, name: 'x', log, signal: abort.signal });
    await once(silent, 'connection');
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELLED' });
    // It gave up before the client's own timeout, which would have left a line.
    expect(lines).toEqual([]);
  });

  test('a wrong password is no reason to try again, and is not shown', async () => {
    const { port } = await natsServer({ arguments: ['--user', 'gate', '--pass', 'right'] });
    const { log, lines } = captureLog();
    const wrong = connectNats({ url: `nats://gate:wrong@127.0.0.1:${port}`, name: 'x', log });
    const error = await wrong.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'NATS_REFUSED' });
    expect(`${String(error)} ${JSON.stringify(lines)}`).not.toContain('wrong');
    const right = await connectNats({ url: `nats://gate:right@127.0.0.1:${port}`, name: 'x', log });
    await right.close();
  });

  test('a command gets one clear error instead of tries', async () => {
    const server = await natsServer();
    await server.close();
    await expect(connectNatsOnce(server.url, 'x')).rejects.toMatchObject({
      code: 'NATS_UNREACHABLE',
      message: `NATS at ${server.url}: connection refused`,
    });
  });
});

describe('frame streams', () => {
  test('making them twice changes nothing', async () => {
    const nats = await natsClient((await natsServer()).url);
    await ensureFrameStreams(nats);
    nats.publish(frames('m', 'gate'), 'kept');
    await nats.flush();
    await ensureFrameStreams(nats);
    const manager = await nats.jetstreamManager();
    expect((await manager.streams.info(FRAME_STREAM)).state.messages).toBe(1);
  });

  test('settings of an older version are brought up to date', async () => {
    const nats = await natsClient((await natsServer()).url);
    const manager = await nats.jetstreamManager();
    await manager.streams.add({ name: FRAME_STREAM, subjects: ['fb.frames.*'], max_msgs_per_subject: 5, storage: StorageType.Memory });
    await ensureFrameStreams(nats);
    const { config } = await manager.streams.info(FRAME_STREAM);
    expect(config.subjects).toEqual(['fb.frames.*.*']);
    expect(config.max_msgs_per_subject).toBe(1);
  });

  test('a stream whose settings cannot be changed is made anew', async () => {
    const nats = await natsClient((await natsServer()).url);
    const manager = await nats.jetstreamManager();
    await manager.streams.add({ name: LOSSLESS_FRAME_STREAM, subjects: ['fb.lossless.*.*'], retention: RetentionPolicy.Limits });
    await ensureFrameStreams(nats);
    const { config } = await manager.streams.info(LOSSLESS_FRAME_STREAM);
    expect(config.retention).toBe(RetentionPolicy.Workqueue);
    expect(config.storage).toBe(StorageType.Memory);
  });

  test('the newest frame of each stream displaces the one before; lossless keeps all', async () => {
    const nats = await natsClient((await natsServer()).url);
    await ensureFrameStreams(nats);
    for (let i = 0; i < 5; i++) {
      for (const stream of ['a', 'b']) {
        nats.publish(frames('m', stream), String(i));
        nats.publish(losslessFrames('m', stream), String(i));
      }
    }
    await nats.flush();
    const manager = await nats.jetstreamManager();
    expect((await manager.streams.info(FRAME_STREAM)).state.messages).toBe(2);
    expect((await manager.streams.info(LOSSLESS_FRAME_STREAM)).state.messages).toBe(10);
    const last = await manager.streams.getMessage(FRAME_STREAM, { last_by_subj: frames('m', 'b') });
    expect(last.string()).toBe('4');
  });

  test('they come back after the server was killed and started anew, without anybody restarting', async () => {
    const first = await NatsServer.start();
    const { log, text } = captureLog();
    const nats = await connectNats({ url: first.url, name: 'survivor', log });
    await keepFrameStreams(nats, log);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    await eventually('the loss is noticed', () => !isConnected(nats));
    await first.close();
    await sleep(100);
    await natsServer({ port: first.port });
    await eventually('connected again', () => isConnected(nats));
    const manager = await nats.jetstreamManager({ checkAPI: false });
    await eventually('the streams are there again', async () => {
      await manager.streams.info(LOSSLESS_FRAME_STREAM);
      return (await manager.streams.info(FRAME_STREAM)).config.max_msgs_per_subject === 1;
    });
    expect(text()).toContain(`connection to NATS at ${first.url} is lost; trying to get it back`);
    expect(text()).toContain('connected to NATS again');
    await nats.close();
  });

  test('a server without JetStream is refused with the remedy', async () => {
    const nats = await natsClient((await natsServer({ jetStream: false })).url);
    await expect(ensureFrameStreams(nats)).rejects.toMatchObject({
      code: 'NATS_NO_JETSTREAM',
      remedy: 'Start nats-server with -js.',
    });
  });
});
