import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { nanos } from 'nats';
import { expect, onTestFinished, test } from 'vitest';
import type { RecordsConfig } from '../../lib/config.js';
import { decodeRecord } from '../../lib/messages.js';
import { connectNats } from '../../lib/nats.js';
import { ALL_DETECTIONS, RECORD_STREAM } from '../../lib/subjects.js';
import { RecordStore } from '../../services/sink/record_store.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog } from '../helpers/log.js';
import { natsClient, natsServer } from '../helpers/nats.js';
import { storedFrames } from '../helpers/record_client.js';

const LIMITS: RecordsConfig = { maxAgeMs: 3_600_000, maxBytes: 16 << 20 };
const EPOCH = { uuid: 'e1', createdUnixNs: 1n };

const record = (seq: number, streamId = 'gate', epoch = EPOCH): DetectionRecord =>
  DetectionRecord.fromPartial({ schemaVersion: 1, streamId, epoch, seq: BigInt(seq) });

/** A store on a connection of its own, and what it has told. */
async function openStore(url: string, limits = LIMITS) {
  const { log, lines } = captureLog();
  const nats = await connectNats({ url, name: 'sink', log });
  const settled: [number, number | null][] = [];
  const told = { moved: 0, remade: 0 };
  const store = new RecordStore(
    nats,
    limits,
    {
      settled: ({ seq }, cursor) => settled.push([Number(seq), cursor?.position ?? null]),
      moved: () => told.moved++,
      remade: () => told.remade++,
    },
    log,
  );
  onTestFinished(async () => {
    await store.close();
    await nats.close();
  });
  store.start();
  if (store.isOn) await eventually('a store', () => store.head);
  return { store, settled, told, nats, lines };
}

/** Passes bytes on to a port; `mute` keeps back what the server says, `cut` ends the connections. */
async function proxy(port: number) {
  const state = { muted: false };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connectTcp(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (data) => upstream.write(data));
    upstream.on('data', (data) => {
      if (!state.muted) client.write(data);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  return { url: `nats://127.0.0.1:${(server.address() as { port: number }).port}`, state, cut };
}

/** As the kernel has them: T is stopped. */
const threadStates = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/task`).map((thread) => / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8'))?.[1] ?? '');

const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

test('what was stored while its answer was lost is stored once, and told with its place', async () => {
  const server = await natsServer();
  const way = await proxy(server.port);
  const { store, settled } = await openStore(way.url);
  const nats = await natsClient(server.url);
  const count = async (): Promise<number> => (await (await nats.jetstreamManager()).streams.info(RECORD_STREAM)).state.messages;
  for (let seq = 0; seq < 5; seq++) store.put(record(seq));
  await eventually('five', () => settled.length === 5);
  way.state.muted = true;
  for (let seq = 5; seq < 10; seq++) store.put(record(seq));
  await eventually('ten', async () => (await count()) === 10);
  expect(settled).toHaveLength(5);
  way.cut();
  for (let seq = 10; seq < 15; seq++) store.put(record(seq));
  way.state.muted = false;
  await eventually('all', () => settled.length === 15);
  expect(settled).toEqual(range(0, 15).map((seq) => [seq, seq + 1]));
  expect(await storedFrames(nats)).toEqual(range(0, 15).map((seq) => `gate e1 ${seq}`));
  expect([store.stored, store.notStored.size]).toEqual([15, 0]);
});

test('a restarted sink does not store again, however late, what was stored', async () => {
  const { url } = await natsServer();
  const first = await openStore(url);
  for (const id of ['gate', 'yard']) for (let seq = 0; seq < 5; seq++) first.store.put(record(seq, id));
  await eventually('ten', () => first.settled.length === 10);
  const manager = await (await natsClient(url)).jetstreamManager();
  const { config } = await manager.streams.info(RECORD_STREAM);
  // What the server remembers of ids is gone.
  await manager.streams.update(RECORD_STREAM, { ...config, duplicate_window: nanos(100) });
  await sleep(500);
  const second = await openStore(url);
  for (let seq = 2; seq < 8; seq++) second.store.put(record(seq));
  second.store.put(record(0, 'gate', { uuid: 'e2', createdUnixNs: 2n }));
  await eventually('four', () => second.settled.length === 4);
  expect(second.settled).toEqual([[5, 11], [6, 12], [7, 13], [0, 14]]);
});

test('a server that does not answer holds nobody up; what it has stored is told later', async () => {
  const server = await natsServer();
  const { store, settled, told, lines } = await openStore(server.url);
  store.put(record(0));
  await eventually('one', () => settled.length === 1);
  process.kill(server.pid, 'SIGSTOP');
  onTestFinished(() => {
    process.kill(server.pid, 'SIGCONT');
  });
  await eventually('a server that stands still', () => threadStates(server.pid).every((state) => state === 'T'));
  for (let seq = 1; seq < 4; seq++) store.put(record(seq));
  await eventually('all', () => settled.length === 4);
  store.put(record(4));
  // Now nobody waits.
  expect(settled).toEqual([[0, 1], [1, null], [2, null], [3, null], [4, null]]);
  expect(store.notStored.get('no_answer')).toBe(4);
  process.kill(server.pid, 'SIGCONT');
  await eventually('the place of the last', () => store.head?.position === 5);
  expect(told.moved).toBeGreaterThan(0);
  store.put(record(5));
  await eventually('stored again', () => settled.length === 6);
  expect(settled[5]).toEqual([5, 6]);
  expect(lines.filter((line) => /does not say/.test(String(line['msg'])))).toHaveLength(1);
});

test('a store that was deleted is made again, and its cursors are told to be worthless', async () => {
  const { url } = await natsServer();
  const { store, settled, told } = await openStore(url);
  store.put(record(0));
  await eventually('one', () => settled.length === 1);
  const before = store.head?.store;
  const manager = await (await natsClient(url)).jetstreamManager();
  await manager.streams.delete(RECORD_STREAM);
  store.put(record(1));
  await eventually('made again', () => told.remade === 1);
  store.put(record(2));
  await eventually('stored', () => settled.length === 3);
  expect(settled).toEqual([[0, 1], [1, null], [2, 1]]);
  expect(store.head?.store).not.toBe(before);
  expect(store.notStored.get('no_store')).toBe(1);
});

test('a store that was deleted is made again also when others listen to records', async () => {
  const { url } = await natsServer();
  const { store, settled, told } = await openStore(url);
  const nats = await natsClient(url);
  nats.subscribe(ALL_DETECTIONS, { callback: () => undefined });
  await (await nats.jetstreamManager()).streams.delete(RECORD_STREAM);
  store.put(record(0));
  await eventually('made again', () => told.remade === 1);
  store.put(record(1));
  await eventually('stored', () => settled.length === 2);
  expect(settled).toEqual([[0, null], [1, 1]]);
});

test('switched off, it publishes and stores nothing, and what was stored is deleted', async () => {
  const { url } = await natsServer();
  const first = await openStore(url);
  first.store.put(record(0));
  await eventually('one', () => first.settled.length === 1);
  await first.store.close();
  const nats = await natsClient(url);
  const live: bigint[] = [];
  nats.subscribe(ALL_DETECTIONS, { callback: (_error, { data }) => live.push(decodeRecord(data).seq) });
  await nats.flush();
  const off = await openStore(url, { ...LIMITS, maxBytes: 0 });
  const manager = await nats.jetstreamManager();
  await eventually('no stream', () => manager.streams.info(RECORD_STREAM).then(() => false, () => true));
  off.store.put(record(1));
  expect(off.settled).toEqual([[1, null]]);
  await eventually('published', () => live.length === 1);
  expect([off.store.head, off.store.notStored.size]).toEqual([null, 0]);
});
