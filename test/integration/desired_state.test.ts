import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { NatsServer } from '../../cli/nats_server.js';
import { DesiredState, type DesiredEntry } from '../../lib/desired_state.js';
import { isConnected, type NatsConnection } from '../../lib/nats.js';
import { ALL_DESIRED_STREAMS, DESIRED_STATE_BUCKET, desiredModel, desiredStream } from '../../lib/subjects.js';
import { eventually } from '../helpers/eventually.js';
import { captureLog, type CapturedLog } from '../helpers/log.js';
import { lastingNatsClient, natsServer } from '../helpers/nats.js';
import { tempFolder } from '../helpers/temp.js';

const GATE = desiredStream('gate');
const YARD = desiredStream('yard');
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Side extends CapturedLog {
  nats: NatsConnection;
  state: DesiredState;
}

async function side(url: string): Promise<Side> {
  const nats = await lastingNatsClient(url);
  const captured = captureLog();
  const state = await DesiredState.open(nats, captured.log);
  onTestFinished(() => state.close());
  return { nats, state, ...captured };
}

/** What a listener was told, as "key=value@revision"; deleted ones have no value. */
function heard(state: DesiredState, keys = ALL_DESIRED_STREAMS): { told: string[]; initial: Promise<void>; close(): void } {
  const told: string[] = [];
  const watch = state.watch(keys, ({ key, value, revision }: DesiredEntry) => {
    told.push(`${key}=${value === null ? '' : Buffer.from(value).toString()}@${revision}`);
  });
  return { told, initial: watch.initial, close: () => watch.close() };
}

/** Ends nats-server with all that it has, and starts an empty one on its port. */
async function loseServer(server: NatsServer, ...clients: NatsConnection[]): Promise<NatsServer> {
  process.kill(server.pid, 'SIGKILL');
  await server.exited;
  await server.close();
  await eventually('the loss is noticed', () => clients.every((nats) => !isConnected(nats)));
  const next = await natsServer({ port: server.port });
  await eventually('connected again', () => clients.every((nats) => isConnected(nats)));
  return next;
}

describe('what is stored', () => {
  test('is there for others, in a file, and for who comes later', async () => {
    const { url } = await natsServer();
    const [one, other] = [await side(url), await side(url)];
    expect(await one.state.get(GATE)).toEqual({ key: GATE, value: null, revision: 0 });
    const revision = await one.state.put(GATE, bytes('a'), 0);
    expect(await other.state.get(GATE)).toMatchObject({ key: GATE, value: bytes('a'), revision });
    const manager = await one.nats.jetstreamManager();
    const { config } = await manager.streams.info(`KV_${DESIRED_STATE_BUCKET}`);
    expect(config).toMatchObject({ storage: 'file', num_replicas: 1, max_msgs_per_subject: 5 });
    expect([...one.lines, ...other.lines]).toEqual([]);
  });

  test('two writers never overwrite each other unseen', async () => {
    const { url } = await natsServer();
    const [one, other] = [await side(url), await side(url)];
    const first = await one.state.put(GATE, bytes('one'), 0);
    await expect(other.state.put(GATE, bytes('other'), 0)).rejects.toMatchObject({
      code: 'STATE_CONFLICT',
      message: 'stream.gate: is not at revision 0 any more: somebody else has changed it',
    });
    const second = await other.state.put(GATE, bytes('other'), first);
    await expect(one.state.put(GATE, bytes('one'), first)).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
    await expect(one.state.delete(GATE, first)).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
    await expect(one.state.delete(GATE, 0)).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
    expect(await one.state.get(GATE)).toMatchObject({ value: bytes('other'), revision: second });
    // Who asks for no revision means it.
    expect(await one.state.put(GATE, bytes('last'), null)).toBeGreaterThan(second);
  });

  test('a deletion is a change like others', async () => {
    const { state } = await side((await natsServer()).url);
    const first = await state.put(GATE, bytes('a'), 0);
    await state.delete(GATE, first);
    const gone = await state.get(GATE);
    expect(gone.value).toBeNull();
    expect(gone.revision).toBeGreaterThan(first);
    await expect(state.put(GATE, bytes('b'), 0)).rejects.toMatchObject({ code: 'STATE_CONFLICT' });
    await state.put(GATE, bytes('b'), gone.revision);
    expect(await state.get(GATE)).toMatchObject({ value: bytes('b') });
    // A key that was never written is deleted already.
    await state.delete(YARD, 0);
    expect(await state.get(YARD)).toMatchObject({ revision: 0 });
  });
});

describe('a watch', () => {
  test('tells what there is first, says when that is through, and then every change', async () => {
    const { url } = await natsServer();
    const [writer, reader] = [await side(url), await side(url)];
    await writer.state.put(GATE, bytes('old'), null);
    const gate = await writer.state.put(GATE, bytes('new'), null);
    const yard = await writer.state.put(YARD, bytes('y'), null);
    await writer.state.put(desiredModel('ssd'), bytes('not asked for'), null);
    const { told, initial } = heard(reader.state);
    await initial;
    expect(told.toSorted()).toEqual([`stream.gate=new@${gate}`, `stream.yard=y@${yard}`]);
    told.length = 0;
    const next = await writer.state.put(GATE, bytes('3'), null);
    await writer.state.delete(GATE, next);
    await eventually('both changes', () => told.length === 2);
    expect(told).toEqual([`stream.gate=3@${next}`, `stream.gate=@${next + 1}`]);
  });

  test('of nothing is through at once', async () => {
    const { state } = await side((await natsServer()).url);
    const { told, initial } = heard(state);
    await initial;
    expect(told).toEqual([]);
    const revision = await state.put(GATE, bytes('a'), 0);
    await eventually('the first change', () => told.length === 1);
    expect(told).toEqual([`stream.gate=a@${revision}`]);
  });

  test('of many is through when all are told', async () => {
    const { state } = await side((await natsServer()).url);
    const streams = Array.from({ length: 300 }, (_, index) => desiredStream(`s${index}`));
    await Promise.all(streams.map((key) => state.put(key, bytes('x'.repeat(500)), 0)));
    const { told, initial } = heard(state);
    await initial;
    expect(new Set(told.map((line) => line.split('=')[0]))).toEqual(new Set(streams));
    expect(told).toHaveLength(300);
  });

  test('that is closed tells nothing any more, and others go on', async () => {
    const { state } = await side((await natsServer()).url);
    const [closed, open] = [heard(state), heard(state)];
    await Promise.all([closed.initial, open.initial]);
    closed.close();
    closed.close();
    await state.put(GATE, bytes('a'), 0);
    await eventually('the other one', () => open.told.length === 1);
    expect(closed.told).toEqual([]);
  });
});

describe('a server that goes', () => {
  test('and comes back with its files: changes and deletions made meanwhile are told', async () => {
    const folder = tempFolder();
    const start = async (port = 0): Promise<NatsServer> =>
      natsServer({ port, jetStream: false, arguments: ['--jetstream', '--store_dir', folder] });
    const first = await start();
    const reader = await side(first.url);
    await reader.state.put(GATE, bytes('a'), 0);
    await reader.state.put(YARD, bytes('y'), 0);
    const { told, initial } = heard(reader.state);
    await initial;
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    await eventually('the loss is noticed', () => !isConnected(reader.nats));
    await expect(reader.state.put(GATE, bytes('b'), null)).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    // Somebody whom the reader cannot hear changes things on another port.
    const meanwhile = await start();
    const writer = await side(meanwhile.url);
    const next = await writer.state.put(GATE, bytes('b'), null);
    await writer.state.delete(YARD, null);
    await writer.nats.close();
    process.kill(meanwhile.pid, 'SIGTERM');
    await meanwhile.exited;
    expect(told).toHaveLength(2);
    await start(first.port);
    await eventually('both changes', () => told.length === 4);
    expect(told.slice(2).toSorted()).toEqual([`stream.gate=b@${next}`, `stream.yard=@${next + 1}`]);
    const revision = await reader.state.put(GATE, bytes('c'), next);
    await eventually('the watch goes on', () => told.at(-1) === `stream.gate=c@${revision}`);
    expect(reader.text()).not.toContain('stored again');
  });

  test('and has lost all: what the living remember is stored again, once', async () => {
    const server = await natsServer();
    const [one, other] = [await side(server.url), await side(server.url)];
    await one.state.put(GATE, bytes('a'), 0);
    await one.state.put(YARD, bytes('y'), 0);
    await one.state.delete(YARD, null);
    const watches = [heard(one.state), heard(other.state)];
    await Promise.all(watches.map(({ initial }) => initial));
    await loseServer(server, one.nats, other.nats);
    const again = await eventually('stored again', async () => {
      const entry = await one.state.get(GATE);
      return entry.value !== null && entry;
    });
    expect(again).toMatchObject({ value: bytes('a'), revision: 1 });
    expect(await one.state.get(YARD)).toMatchObject({ revision: 0 });
    const next = await other.state.put(GATE, bytes('b'), again.revision);
    for (const { told } of watches) {
      await eventually('the watch goes on', () => told.at(-1) === `stream.gate=b@${next}`);
    }
    expect(`${one.text()}${other.text()}`).toContain('it is stored again');
  });

  test('a bucket that somebody removed is made again for the next change', async () => {
    const { nats, state } = await side((await natsServer()).url);
    await state.put(GATE, bytes('a'), 0);
    const manager = await nats.jetstreamManager();
    await manager.streams.delete(`KV_${DESIRED_STATE_BUCKET}`);
    const revision = await state.put(GATE, bytes('b'), null);
    expect(await state.get(GATE)).toMatchObject({ value: bytes('b'), revision });
  });
});

test('a bucket that somebody removes is noticed, and filled again', async () => {
  const { nats, state, text } = await side((await natsServer()).url);
  await state.put(GATE, bytes('a'), 0);
  const { told, initial } = heard(state);
  await initial;
  const manager = await nats.jetstreamManager();
  await manager.streams.delete(`KV_${DESIRED_STATE_BUCKET}`);
  await eventually('stored again', async () => (await state.get(GATE)).value !== null, { timeoutMs: 60_000 });
  expect(text()).toContain('it is stored again');
  const revision = await state.put(GATE, bytes('b'), null);
  await eventually('the watch goes on', () => told.at(-1) === `stream.gate=b@${revision}`);
});

describe('a server without room', () => {
  /** With limits for JetStream that its command line does not have. */
  const limited = async (limits: string): Promise<NatsServer> => {
    const folder = tempFolder();
    const file = join(folder, 'nats.conf');
    writeFileSync(file, `jetstream { store_dir: "${folder}", ${limits} }\n`);
    return natsServer({ jetStream: false, arguments: ['--config', file] });
  };

  test('for files keeps the bucket in memory, with one warning', async () => {
    const { url } = await limited('max_file_store: 1MB');
    const { state, lines, nats } = await side(url);
    await state.put(GATE, bytes('a'), 0);
    expect(await state.get(GATE)).toMatchObject({ value: bytes('a') });
    const manager = await nats.jetstreamManager();
    expect((await manager.streams.info(`KV_${DESIRED_STATE_BUCKET}`)).config.storage).toBe('memory');
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      [40, 'NATS keeps what is changed while running in memory only: when NATS and all services end, it is forgotten'],
    ]);
  });

  test.each([
    ['for anything', () => limited('max_file_store: 1MB, max_memory_store: 1MB')],
    ['and without JetStream', () => natsServer({ jetStream: false })],
  ])('%s stops nobody: the configuration counts, with one warning', async (_what, start) => {
    const { url } = await start();
    const { state, lines } = await side(url);
    const { told, initial } = heard(state);
    await initial;
    expect(told).toEqual([]);
    await expect(state.get(GATE)).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    await expect(state.put(GATE, bytes('a'), 0)).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' });
    const warnings = lines.filter(({ level }) => level === 40);
    expect(warnings.map(({ msg }) => msg)).toEqual([
      'NATS has no bucket for what is changed while running: the configuration alone counts until it has',
    ]);
    expect(warnings[0]).toMatchObject({ bucket: DESIRED_STATE_BUCKET });
  });
});
