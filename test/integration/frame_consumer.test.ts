import { describe, expect, it, onTestFinished } from 'vitest';
import { connectNats, keepFrameStreams, type NatsConnection } from '../../lib/nats.js';
import * as subjects from '../../lib/subjects.js';
import { FrameConsumer } from '../../services/infer/frame_consumer.js';
import type { PulledMessage } from '../../services/infer/pulled_message.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { natsClient, natsServer } from '../helpers/nats.js';

const OPTIONS = {
  stream: subjects.FRAME_STREAM,
  durable: subjects.frameConsumer('m'),
  filterSubject: subjects.framesOfModel('m'),
  ackWaitMs: 1_000,
};

interface Worker {
  consumer: FrameConsumer;
  got: PulledMessage[];
}

/** A worker of model "m" that acknowledges what it gets. */
async function worker(nats: NatsConnection, acknowledge = true, options: Partial<typeof OPTIONS> = {}): Promise<Worker> {
  const got: PulledMessage[] = [];
  const consumer = new FrameConsumer(nats, { ...OPTIONS, ...options }, (message) => {
    got.push(message);
    if (acknowledge) message.ack();
  }, captureLog().log);
  await consumer.start();
  onTestFinished(() => consumer.close());
  return { consumer, got };
}

async function start(): Promise<NatsConnection> {
  const nats = await natsClient((await natsServer()).url);
  await keepFrameStreams(nats, captureLog().log);
  return nats;
}

function publish(nats: NatsConnection, stream: string, text: string, model = 'm'): void {
  nats.publish(subjects.frames(model, stream), new TextEncoder().encode(text));
}

const texts = ({ got }: Worker): string[] => got.map(({ data }) => new TextDecoder().decode(data));

describe('FrameConsumer', () => {
  it('gets nothing that it has not asked for, and the newest of each stream when it asks', async () => {
    const nats = await start();
    const a = await worker(nats);
    for (const text of ['a1', 'a2', 'a3']) publish(nats, 'a', text);
    publish(nats, 'b', 'b1');
    publish(nats, 'c', 'other', 'another_model');
    await nats.flush();
    expect(a.got).toEqual([]);
    a.consumer.want(1);
    await eventually('one frame', () => a.got.length === 1);
    // The other one is known to wait, but nothing is asked for.
    expect([texts(a), a.got[0]?.pending, a.consumer.coming()]).toEqual([['a3'], 1, 0]);
    a.consumer.want(5);
    await eventually('the rest', () => a.got.length === 2);
    expect([texts(a), a.got[1]?.pending, a.got[1]?.subject]).toEqual([['a3', 'b1'], 0, 'fb.frames.m.b']);
  });

  it('asks only for what is missing', async () => {
    const nats = await start();
    const a = await worker(nats);
    for (const count of [1, 2, 2, 1, 2]) a.consumer.want(count);
    for (const stream of ['a', 'b', 'c', 'd']) publish(nats, stream, stream);
    await eventually('two frames', () => a.got.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(a.got).toHaveLength(2);
  });

  it('shares the frames with the other workers', async () => {
    const nats = await start();
    const [a, b] = [await worker(nats), await worker(nats)];
    a.consumer.want(3);
    b.consumer.want(3);
    for (const stream of ['a', 'b', 'c', 'd', 'e', 'f']) publish(nats, stream, stream);
    await eventually('all frames', () => a.got.length + b.got.length === 6);
    expect([...texts(a), ...texts(b)].toSorted()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect([a.got.length, b.got.length]).toEqual([3, 3]);
  });

  it('takes turns: cameras that run at one rate, and fast ones, get as many as the others', async () => {
    const nats = await start();
    const a = await worker(nats);
    for (let round = 1; round <= 40; round++) {
      // Always in this order, and each replaces the one before: the server would always give "first".
      for (const stream of ['first', 'second', 'third', 'fast']) publish(nats, stream, stream);
      // Answered when it is stored, and all before it.
      await nats.jetstream().publish(subjects.frames('m', 'fast'), new TextEncoder().encode('fast'));
      a.consumer.want(1);
      await eventually('a frame', () => a.got.length === round);
      a.consumer.want(0);
    }
    const count = (name: string): number => texts(a).filter((text) => text === name).length;
    const counts = ['first', 'second', 'third', 'fast'].map(count);
    // One that was just being put back may miss a round.
    expect(Math.min(...counts), String(counts)).toBeGreaterThanOrEqual(9);
  });

  it('takes turns in what was passed over, too, when nothing newer comes', async () => {
    const nats = await start();
    const a = await worker(nats);
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const name of names) publish(nats, name, name);
    await nats.flush();
    for (let count = 2; count <= 6; count += 2) {
      a.consumer.want(2);
      await eventually(`${count} frames`, () => a.got.length === count);
      a.consumer.want(0);
    }
    expect(texts(a)).toEqual(names);
    // An idle worker finds what another one has passed over.
    const b = await worker(nats);
    b.consumer.want(1);
    for (const name of names) publish(nats, name, name);
    await nats.flush();
    a.consumer.want(1);
    b.consumer.want(5);
    await eventually('all', () => a.got.length + b.got.length === 12);
    expect([...texts(a).slice(6), ...texts(b)].toSorted()).toEqual(names);
  });

  it('gives a frame back, for another one', async () => {
    const nats = await start();
    // Longer than the test: only what was given back comes again.
    const patient = { ackWaitMs: 600_000 };
    const a = await worker(nats, false, patient);
    a.consumer.want(1);
    publish(nats, 'a', 'a1');
    await eventually('the frame', () => a.got.length === 1);
    const b = await worker(nats, true, patient);
    b.consumer.want(1);
    a.got[0]?.nak(5);
    await eventually('the frame at the other', () => b.got.length === 1);
  });

  it('goes on after the server has forgotten the consumer', async () => {
    const nats = await start();
    const a = await worker(nats);
    a.consumer.want(4);
    await nats.flush();
    const manager = await nats.jetstreamManager();
    await manager.consumers.delete(OPTIONS.stream, OPTIONS.durable);
    await eventually('the consumer is there again', async () => {
      const { num_waiting: waiting } = await manager.consumers.info(OPTIONS.stream, OPTIONS.durable);
      return waiting > 0;
    });
    publish(nats, 'a', 'later');
    await eventually('a frame', () => texts(a).includes('later'));
  });

  it('goes on after the server was restarted, with everything in memory gone', async () => {
    const server = await natsServer();
    const nats = await connectNats({ url: server.url, name: 'worker', log: captureLog().log });
    onTestFinished(() => nats.close());
    await keepFrameStreams(nats, captureLog().log);
    const a = await worker(nats);
    a.consumer.want(4);
    const { port } = new URL(server.url);
    await server.close();
    await natsServer({ port: Number(port) });
    await eventually('a frame after the restart', async () => {
      await nats.flush();
      publish(nats, 'a', 'later');
      return a.got.length > 0;
    }, { everyMs: 100 });
  });
});
