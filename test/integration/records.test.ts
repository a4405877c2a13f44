import { status } from '@grpc/grpc-js';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished, describe, expect, test } from 'vitest';
import { NatsServer } from '../../cli/nats_server.js';
import { RECORD_STREAM } from '../../lib/subjects.js';
import type { SubscribeResponse } from '#proto/framebus/detection/v1/detection_service.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { RecordClient, storedFrames } from '../helpers/record_client.js';
import { runNode } from '../helpers/process.js';
import { SinkRig, subscribe, TestProducer } from '../helpers/sink_rig.js';
import { tempFolder } from '../helpers/temp.js';

/** A nats-server that keeps its files and its port when it is killed. */
async function lastingServer() {
  const store = tempFolder();
  let server = await NatsServer.start({ arguments: ['--store_dir', store] });
  const { port, url } = server;
  onTestFinished(() => server.close());
  return {
    url,
    kill: async () => {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
    },
    start: async () => {
      server = await NatsServer.start({ port, arguments: ['--store_dir', store] });
    },
  };
}

/** A sink with `count` records of a stream stored. */
async function storedRecords(count: number, records = '') {
  const rig = await SinkRig.at((await natsServer()).url, ['gate', 'yard'], { records });
  const { addresses } = await rig.sink();
  const live = subscribe(addresses.grpc);
  await live.started;
  const producer = new TestProducer(rig.directory, rig.nats);
  producer.play('gate', { count, wait: true });
  await eventually('all records', () => live.responses.length === count);
  return { rig, address: addresses.grpc, live, producer };
}

const seqsFrom = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, i) => first + i);

describe('stored records', () => {
  test('start from the beginning, behind a cursor and at a time, and go on live', async () => {
    const { rig, address, live, producer } = await storedRecords(30);
    const all = subscribe(address, { fromBeginning: true });
    const cursor = live.responses[9]?.cursor ?? '';
    const behind = subscribe(address, { resumeAfter: cursor });
    const stored = await (await rig.nats.jetstreamManager()).streams.getMessage(RECORD_STREAM, { seq: 21 });
    const since = subscribe(address, { sinceUnixNs: BigInt(stored.time.getTime()) * 1_000_000n });
    const next = subscribe(address, { everyRecord: true });
    await Promise.all([behind.started, since.started, next.started]);
    producer.play('yard', { count: 10, wait: true });
    await eventually('the last', () => [all, behind, since, next].every(({ responses }) => responses.at(-1)?.record?.streamId === 'yard' && responses.at(-1)?.record?.seq === 9n));
    expect(all.seqs()).toEqual([...seqsFrom(0, 30), ...seqsFrom(0, 10)]);
    expect(behind.seqs()).toEqual([...seqsFrom(10, 30), ...seqsFrom(0, 10)]);
    expect(next.seqs()).toEqual(seqsFrom(0, 10));
    // Several may have been stored in one millisecond.
    expect(since.seqs()).toEqual(all.seqs().slice(-since.seqs().length));
    expect(since.seqs().length).toBeGreaterThanOrEqual(20);
    expect(since.seqs().length).toBeLessThan(25);
    // A cursor is the same whoever gets the record, live or stored.
    expect(all.responses.map((r) => r.cursor)).toEqual(live.responses.map((r) => r.cursor));
    expect([all, behind, since, next, live].flatMap(({ responses }) => responses.flatMap((r) => r.missed))).toEqual([]);
  });

  test('filters apply, and heartbeats move the cursor on', async () => {
    const { address, live } = await storedRecords(30);
    const trucks = subscribe(address, { fromBeginning: true, labels: ['truck'], onlyWithDetections: true, heartbeatMs: 100 });
    const other = subscribe(address, { fromBeginning: true, streamIds: ['yard'], heartbeatMs: 100 });
    const last = live.responses.at(-1)?.cursor;
    await eventually('the last cursor', () => trucks.heartbeats.at(-1)?.cursor === last && other.heartbeats.at(-1)?.cursor === last);
    expect([...trucks.responses, ...other.responses]).toEqual([]);
  });

  test('a track can be followed, live and stored, up to its end', async () => {
    const rig = await SinkRig.start(['gate', 'yard']);
    const { addresses } = await rig.sink();
    const all = subscribe(addresses.grpc, { everyRecord: true });
    await all.started;
    const producer = new TestProducer(rig.directory, rig.nats);
    // Slow: the person is at the other end, and another track, after a hundred frames.
    const stop = producer.play('gate', { fps: 5, wait: true });
    const trackId = await eventually('a track', () => all.responses.flatMap(({ record }) => record?.detections ?? []).find((d) => d.trackId !== 0n)?.trackId);
    const live = subscribe(addresses.grpc, { streamIds: ['gate'], trackIds: [trackId] });
    const stored = subscribe(addresses.grpc, { fromBeginning: true, streamIds: ['gate'], trackIds: [trackId], onlyWithDetections: true });
    await Promise.all([live.started, stored.started]);
    await eventually('the track, live', () => live.responses.length >= 3);
    stop();
    // Another size ends all tracks. Another stream may have one of the same number.
    producer.play('gate', { width: 640, height: 360, count: 10, wait: true });
    producer.play('yard', { count: 10, wait: true });
    const isEnd = ({ record }: SubscribeResponse): boolean => record?.streamId === 'gate' && record.endedTrackIds.includes(trackId);
    await eventually('its end', () => [all, live, stored].every(({ responses }) => responses.some(isEnd)));
    const isOfTrack = (response: SubscribeResponse): boolean =>
      isEnd(response) || (response.record?.streamId === 'gate' && response.record.detections.some((d) => d.trackId === trackId));
    const cursors = all.responses.filter(isOfTrack).map(({ cursor }) => cursor);
    expect(stored.responses.map(({ cursor }) => cursor)).toEqual(cursors);
    expect(live.responses.map(({ cursor }) => cursor)).toEqual(cursors.slice(-live.responses.length));
    for (const { record } of [...live.responses, ...stored.responses]) {
      expect(record?.detections.map((d) => d.trackId)).toEqual(record?.endedTrackIds.length === 0 ? [trackId] : []);
      expect(record?.endedTrackIds.every((id) => id === trackId)).toBe(true);
      // What sink knows of the time is stored, too.
      expect((record?.stages?.transportNs ?? 0n) + (record?.stages?.reorderNs ?? 0n) + (record?.stages?.trackingNs ?? 0n)).toBe(record?.latencyNs);
      expect(record?.recordedUnixNs).toBeGreaterThan(0n);
    }
    const none = await subscribe(addresses.grpc, { trackIds: [0n] }).error;
    expect(none).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringContaining('track_ids') as string });
  });

  test('a cursor that is too old or of another store is refused with the reason', async () => {
    const { rig, address, live } = await storedRecords(30);
    const manager = await rig.nats.jetstreamManager();
    await manager.streams.purge(RECORD_STREAM, { seq: 16 });
    const cursor = live.responses[4]?.cursor ?? '';
    const old = await subscribe(address, { resumeAfter: cursor }).error;
    expect(old.code).toBe(status.OUT_OF_RANGE);
    expect(old.details).toContain('10 records');
    expect(old.details).toContain(live.responses[14]?.cursor);
    const going = subscribe(address, { resumeAfter: cursor, skipExpired: true });
    await eventually('the rest', () => going.responses.length === 15);
    expect(going.seqs()).toEqual(seqsFrom(15, 30));
    expect([...going.heartbeats, ...going.responses].flatMap((r) => r.missed)).toEqual([
      { count: 10n, reason: MissedReason.MISSED_REASON_EXPIRED },
    ]);
    const other = await subscribe(address, { resumeAfter: '1-0123456789ab-3' }).error;
    expect(other.code).toBe(status.FAILED_PRECONDITION);
    const ahead = await subscribe(address, { resumeAfter: cursor.replace(/\d+$/, '31') }).error;
    expect(ahead.code).toBe(status.FAILED_PRECONDITION);
  });

  test('NATS without room for them is one warning; subscribers who look on get theirs', async () => {
    const rig = await SinkRig.at((await natsServer()).url, ['gate'], { records: 'max_bytes: 1024TiB' });
    const { addresses, process } = await rig.sink();
    const live = subscribe(addresses.grpc);
    await live.started;
    new TestProducer(rig.directory, rig.nats).play('gate');
    await eventually('records', () => live.responses.length > 20);
    expect(live.seqs()).toEqual(seqsFrom(live.seqs()[0] ?? 0, (live.seqs()[0] ?? 0) + live.seqs().length));
    expect(live.responses.every(({ cursor }) => cursor === '')).toBe(true);
    const stored = await subscribe(addresses.grpc, { fromBeginning: true }).error;
    expect(stored.code).toBe(status.UNAVAILABLE);
    expect(process.stderr.match(/NATS does not store records/g)).toHaveLength(1);
  });

  test('when the store is made anew, those who read it are told, and those who look on are not cut off', async () => {
    const { rig, address, live, producer } = await storedRecords(5);
    const all = subscribe(address, { fromBeginning: true });
    await eventually('five', () => all.responses.length === 5);
    await (await rig.nats.jetstreamManager()).streams.delete(RECORD_STREAM);
    producer.play('yard');
    expect(await all.error).toMatchObject({ code: status.FAILED_PRECONDITION });
    const before = all.responses[4]?.cursor ?? '';
    await eventually('records of the new store', () => ![before.replace(/\d+$/, ''), ''].includes(live.responses.at(-1)?.cursor.replace(/\d+$/, '') ?? ''));
    const again = await subscribe(address, { resumeAfter: before }).error;
    expect(again.code).toBe(status.FAILED_PRECONDITION);
    expect(live.responses.map(({ record }) => record?.streamId).filter((id) => id === 'yard').length).toBeGreaterThan(0);
  });

  test('framebus watch goes on where it was', async () => {
    const { address } = await storedRecords(30);
    const file = join(tempFolder(), 'place');
    const watch = async (): Promise<number[]> => {
      const process = runNode(['cli/framebus.mjs', 'watch', '-a', address, '--json', '--resume', file, '--from-start', '-n', '15']);
      expect(await process.exitCode()).toBe(0);
      return process.stdout.trim().split('\n').map((line) => Number((JSON.parse(line) as { seq?: string }).seq ?? 0));
    };
    expect(await watch()).toEqual(seqsFrom(0, 15));
    expect(await watch()).toEqual(seqsFrom(15, 30));
  });
});

test('whatever dies, a client that goes on gets every stored record once', async () => {
  const server = await lastingServer();
  const port = 40_000 + (process.pid % 20_000);
  const rig = await SinkRig.at(server.url, ['gate', 'yard'], { ports: { grpc: port } });
  let sink = await rig.sink();
  const producer = new TestProducer(rig.directory, rig.nats);
  for (const id of ['gate', 'yard']) producer.play(id);
  const clients = Array.from({ length: 100 }, () => new RecordClient(`127.0.0.1:${port}`, { fromBeginning: true, skipExpired: true }));
  const everybody = (count: number) =>
    eventually(() => `${count} records; there are ${clients.map((c) => c.frames.length).join()}\n${sink.process.stderr}`, () => clients.every((c) => c.frames.length >= count), { timeoutMs: 60_000 });
  let cuts = 0;
  const timer = setInterval(() => {
    clients[Math.floor(Math.random() * clients.length)]?.cut();
    cuts++;
  }, 40);
  onTestFinished(() => {
    clearInterval(timer);
  });
  await everybody(50);
  for (let round = 0; round < 2; round++) {
    sink.process.kill('SIGKILL');
    await sink.process.exitCode();
    sink = await rig.sink();
    await everybody((clients[0]?.frames.length ?? 0) + 30);
    await server.kill();
    await sleep(300 * round);
    await server.start();
    await everybody((clients[0]?.frames.length ?? 0) + 30);
  }
  clearInterval(timer);
  await producer.close();
  await sleep(500);
  const stored = await storedFrames(rig.nats);
  await everybody(stored.length);
  expect(cuts).toBeGreaterThan(50);
  expect(new Set(stored).size).toBe(stored.length);
  for (const id of ['gate', 'yard']) {
    const ofStream = stored.filter((frame) => frame.startsWith(id)).map((frame) => Number(frame.split(' ')[2]));
    expect(ofStream).toEqual([...ofStream].sort((a, b) => a - b));
  }
  for (const client of clients) {
    expect(client.frames).toEqual(stored);
    expect(client.missed).toEqual([]);
  }
});
