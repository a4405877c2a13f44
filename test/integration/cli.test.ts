import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  DetectionServiceService,
  type DetectionServiceServer,
  SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { SnapshotServiceService, type SnapshotServiceServer } from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { ServiceState, ServiceStatus } from '#proto/framebus/status/v1/status.js';
import { StatusServiceService, type StatusServiceServer } from '#proto/framebus/status/v1/status_service.js';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { FramebusError } from '../../lib/errors.js';
import { RpcServer, toGrpcError } from '../../lib/rpc.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { runNode, type RunOptions, type TestProcess } from '../helpers/process.js';
import { tempFile, tempFolder } from '../helpers/temp.js';

const framebus = (args: readonly string[], options: RunOptions = {}): TestProcess =>
  runNode(['cli/framebus.mjs', ...args], options);

/** Output and exit code of a command that ends by itself. */
async function output(args: readonly string[], options: RunOptions = {}): Promise<{ code: number; out: string; err: string }> {
  const command = framebus(args, options);
  const code = await command.exitCode();
  return { code, out: command.stdout, err: command.stderr };
}

const JPEG = Buffer.from([0xff, 0xd8, 0xff, 0xd9]);

const record = (streamId: string, seq: bigint): DetectionRecord =>
  DetectionRecord.fromPartial({
    schemaVersion: 1,
    streamId,
    seq,
    width: 768,
    height: 576,
    status: InferenceStatus.INFERENCE_STATUS_INFERRED,
    latencyNs: 45_000_000n,
    stages: { engineNs: 20_000_000n },
    detections: [{ label: 'person', confidence: 0.9, box: { x: 1, y: 2, width: 3, height: 4 } }],
  });

interface Front {
  address: string;
  port: number;
  /** What subscribers have asked for. */
  requests: SubscribeRequest[];
  /** Open subscriptions. */
  calls: Set<ServerWritableStream<SubscribeRequest, SubscribeResponse>>;
  close(): Promise<void>;
}

/** The gRPC face of a sink that knows the stream "gate", with the real server behind it. */
async function startFront(port = 0): Promise<Front> {
  const server = new RpcServer({ host: '127.0.0.1', port, key: 'sink.grpc' });
  const requests: SubscribeRequest[] = [];
  const calls: Front['calls'] = new Set();
  server.add(DetectionServiceService, {
    subscribe: (call) => {
      requests.push(call.request);
      if (call.request.streamIds.some((id) => id !== 'gate')) {
        call.emit('error', toGrpcError(new FramebusError('STREAM_NOT_FOUND', 'stream "x": not configured')));
        return;
      }
      calls.add(call);
      for (let seq = 0n; seq < 3n; seq++) {
        const missed = seq === 2n ? [{ count: 7n, reason: MissedReason.MISSED_REASON_SLOW_READER }] : [];
        call.write({ record: record('gate', seq), cursor: `place-${seq}`, missed });
      }
    },
  } satisfies DetectionServiceServer);
  server.add(SnapshotServiceService, {
    getSnapshot: (call, done) => {
      if (call.request.streamId === 'gate') done(null, { jpeg: JPEG, record: record('gate', 5n) });
      else done(toGrpcError(new FramebusError('STREAM_NOT_FOUND', `stream "${call.request.streamId}": not configured`)));
    },
  } satisfies SnapshotServiceServer);
  server.add(StatusServiceService, {
    getStatus: (_call, done) => {
      const sink = { service: 'sink', instance: 'sink-0', state: ServiceState.SERVICE_STATE_RUNNING };
      done(null, { services: [ServiceStatus.fromPartial(sink)] });
    },
  } satisfies StatusServiceServer);
  const bound = await server.listen();
  const close = (): Promise<void> => server.close(0);
  onTestFinished(close);
  return { address: `127.0.0.1:${bound}`, port: bound, requests, calls, close };
}

describe('framebus watch', () => {
  test('prints a line a record, and asks the server to filter', async () => {
    const { address, requests } = await startFront();
    const args = ['watch', 'gate', '-a', address, '--class', 'person', '--class', 'car', '--min-confidence', '0.25', '-n', '3'];
    const { code, out, err } = await output(args);
    expect(code).toBe(0);
    expect(out.trim().split('\n')).toHaveLength(3);
    expect(out).toContain('gate #0 person 90 % (1,2 3×4)');
    expect(err).toBe('7 records were dropped: this terminal reads too slowly\n');
    const asked = { streamIds: ['gate'], labels: ['person', 'car'], minConfidence: 0.25, onlyWithDetections: true };
    expect(requests).toEqual([SubscribeRequest.fromPartial(asked)]);
  });

  test('--track asks for a track, --latency prints where the time went instead of records', async () => {
    const { address, requests } = await startFront();
    const tracks = ['--track', '7541903126421504001', '--track', '2'];
    const { code, out } = await output(['watch', '-a', address, ...tracks, '--latency', '-n', '3']);
    expect(code).toBe(0);
    expect(requests[0]).toMatchObject({ trackIds: [7541903126421504001n, 2n], onlyWithDetections: false });
    expect(out.trim().split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['ms', 'p50', 'p99', 'frames'],
      ['engine', '20.0', '20.0', '3'],
      ['in all', '45.0', '45.0', '3'],
    ]);
    expect((await output(['watch', '-a', address, '--track', 'x'])).code).toBe(64);
    expect((await output(['watch', '-a', address, '--track', '0'])).code).toBe(64);
  });

  test('--json gives one object a line, --all every frame', async () => {
    const { address, requests } = await startFront();
    const { out } = await output(['watch', '-a', address, '--json', '--all', '-n', '2']);
    const objects = out.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects[1]).toMatchObject({ streamId: 'gate', seq: '1', detections: [{ label: 'person' }] });
    expect(requests[0]?.onlyWithDetections).toBe(false);
  });

  test('--resume keeps the place in a file, and goes on there', async () => {
    const { address, requests } = await startFront();
    const file = join(tempFolder(), 'place');
    await output(['watch', '-a', address, '--resume', file, '--from-start', '-n', '2']);
    expect(readFileSync(file, 'utf8')).toBe('place-1\n');
    await output(['watch', '-a', address, '--resume', file, '--from-start', '-n', '3']);
    expect(readFileSync(file, 'utf8')).toBe('place-2\n');
    expect(requests).toMatchObject([
      { resumeAfter: '', fromBeginning: true, everyRecord: true, skipExpired: false },
      { resumeAfter: 'place-1', fromBeginning: false, everyRecord: true, skipExpired: true },
    ]);
    expect(readdirSync(dirname(file))).toEqual(['place']);
    const unwritable = await output(['watch', '-a', address, '--resume', '/no/such/place', '-n', '1']);
    expect(unwritable.code).toBe(74);
  });

  test('--since is a time or how long ago', async () => {
    const { address, requests } = await startFront();
    const before = Date.now();
    await output(['watch', '-a', address, '--since', '10m', '-n', '1']);
    await output(['watch', '-a', address, '--since', '2025-03-01T12:00:00Z', '-n', '1']);
    const [ago, time] = requests.map(({ sinceUnixNs }) => Number(sinceUnixNs / 1_000_000n));
    expect(ago).toBeGreaterThanOrEqual(before - 600_000);
    expect(ago).toBeLessThanOrEqual(Date.now() - 600_000);
    expect(time).toBe(Date.parse('2025-03-01T12:00:00Z'));
    expect((await output(['watch', '-a', address, '--since', 'noon'])).code).toBe(64);
    expect((await output(['watch', '-a', address, '--since', '1m', '--from-start'])).code).toBe(64);
  });

  test('comes back by itself when the sink does, and ends on Ctrl-C', async () => {
    const first = await startFront();
    const watch = framebus(['watch', '-a', first.address]);
    await eventually('three lines', () => watch.stdout.split('\n').length === 4);
    await first.close();
    await watch.output(/Trying again in/);
    await startFront(first.port);
    await eventually('three more lines', () => watch.stdout.split('\n').length >= 7);
    watch.kill('SIGINT');
    expect(await watch.exitCode()).toBe(0);
  });

  test('an unknown stream is no reason to try again', async () => {
    const { address } = await startFront();
    const { code, err } = await output(['watch', 'x', '-a', address]);
    expect(code).toBe(66);
    expect(err).toBe('framebus: stream "x": not configured\n  Use one of the names under streams: in the configuration.\n');
  });

  test('ends quietly when its reader has seen enough', async () => {
    const { address, calls } = await startFront();
    const watch = framebus(['watch', '-a', address]);
    await eventually('a line', () => watch.stdout.includes('\n'));
    watch.child.stdout?.destroy();
    const feed = setInterval(() => {
      for (const call of calls) call.write({ record: record('gate', 9n), cursor: '', missed: [] });
    }, 20);
    expect(await watch.exitCode()).toBe(0);
    clearInterval(feed);
    expect(watch.stderr).not.toContain('EPIPE');
  });
});

describe('framebus snapshot', () => {
  test('saves the picture and leaves nothing else', async () => {
    const { address } = await startFront();
    const file = join(tempFolder(), 'out.jpg');
    const { code, out } = await output(['snapshot', 'gate', file, '-a', address]);
    expect([code, out]).toEqual([0, `${file}: 768×576, frame 5, 1 detections\n`]);
    expect(readFileSync(file)).toEqual(JPEG);
    expect(readdirSync(dirname(file))).toEqual(['out.jpg']);
  });

  test('a stream that is not there, a folder that is not there, a sink that is not there', async () => {
    const { address } = await startFront();
    const file = join(tempFolder(), 'out.jpg');
    expect(await output(['snapshot', 'x', file, '-a', address])).toMatchObject({ code: 66 });
    expect(existsSync(file)).toBe(false);
    const unwritable = await output(['snapshot', 'gate', '/no/such/out.jpg', '-a', address]);
    expect(unwritable.code).toBe(74);
    expect(unwritable.err).toContain('/no/such/out.jpg: ENOENT');
    const unreachable = await output(['snapshot', 'gate', file, '-a', '127.0.0.1:1']);
    expect(unreachable).toMatchObject({ code: 69 });
    expect(unreachable.err).toContain('sink at 127.0.0.1:1: connection refused');
  });
});

describe('framebus status', () => {
  test('for people and for programs', async () => {
    const { address } = await startFront();
    expect((await output(['status', '-a', address])).out).toContain('sink sink-0  running');
    const { out } = await output(['status', '-a', address, '--json']);
    expect(JSON.parse(out)).toMatchObject({ services: [{ instance: 'sink-0', state: 'SERVICE_STATE_RUNNING' }] });
  });
});

describe('framebus validate', () => {
  test('a right file: its streams, or everything as JSON, without credentials', async () => {
    const file = tempFile('framebus.yaml', 'streams: {gate: {source: "rtsp://joe:secret@cam/1"}}');
    const good = await output(['validate', file]);
    expect(good).toMatchObject({ code: 0, out: `${file}: good\n  gate  rtsp://***@cam/1  (ssdlite-mobilenet-v2, latest)\n` });
    const json = await output(['validate', file, '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ streams: [{ id: 'gate', source: 'rtsp://***@cam/1' }] });
  });

  test('a wrong file: all problems on stderr', async () => {
    const file = tempFile('framebus.yaml', 'log: {levl: info}\nstreams: {gate: {sorce: /x}}');
    const { code, out, err } = await output(['validate', file]);
    expect([code, out]).toEqual([78, '']);
    expect(err).toContain(`${file}:1: log.levl: unknown key; did you mean "level"?`);
    expect(err).toContain(`${file}:2: streams.gate.sorce: unknown key; did you mean "source"?`);
  });
});

describe('framebus doctor', () => {
  interface Report {
    healthy: boolean;
    checks: { group: string; name: string; state: string; found: string; remedy: string }[];
  }

  async function doctor(config: string, env: Record<string, string> = {}): Promise<Report & { code: number }> {
    const { code, out } = await output(['doctor', '--json', '--config', tempFile('framebus.yaml', config)], { env });
    return { ...(JSON.parse(out) as Report), code };
  }

  test('looks at everything', async () => {
    const { url } = await natsServer();
    const { checks } = await doctor('streams: {gate: {source: /x}}', { NATS_URL: url });
    expect(new Set(checks.map(({ group }) => group))).toEqual(
      new Set(['machine', 'media', 'inference', 'GPU', 'NATS', 'frame bus', 'addresses']),
    );
    const find = (name: string) => checks.find((check) => check.name === name);
    expect(find('onnxruntime')).toMatchObject({ state: 'ok' });
    expect(find(url)).toMatchObject({ state: 'ok', found: expect.stringContaining('with JetStream') as string });
    expect(find('GStreamer')).toMatchObject({ state: 'ok', found: expect.stringMatching(/^1\./) as string });
    for (const name of ['uridecodebin', 'x264enc', 'h264parse']) expect(find(name)).toMatchObject({ state: 'ok' });
    expect(find('encoder: auto, h264')).toMatchObject({ state: 'ok', found: expect.stringMatching(/^\w+264enc \(.+\)$/) as string });
  });

  test('names what is missing with its remedy, and ends with 1', async () => {
    const { url } = await natsServer({ jetStream: false });
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    onTestFinished(() => void other.close());
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const notAFolder = tempFile('bus', '');
    const { code, healthy, checks } = await doctor(
      `bus: {directory: ${notAFolder}}
sink: {http: {port: ${port}}}
defaults: {model: no-such-model}
streams: {gate: {source: /x}}`,
      { NATS_URL: url },
    );
    expect([code, healthy]).toEqual([1, false]);
    const find = (name: string) => checks.find((check) => check.name.startsWith(name));
    expect(find('folder')).toMatchObject({ state: 'missing', found: 'is not a folder' });
    expect(find('model no-such-model')).toMatchObject({ state: 'missing' });
    expect(find(url)).toMatchObject({ state: 'missing', remedy: 'Start nats-server with -js.' });
    expect(find('sink.http')).toMatchObject({ state: 'warning', found: 'in use, perhaps by framebus itself' });
    for (const { state, remedy } of checks) if (state === 'missing') expect(remedy).not.toBe('');
  });

  test('an addon that is not built is one line, not a crash', async () => {
    const { code, checks } = await doctor('streams: {gate: {source: /x}}', { FRAMEBUS_ADDON: '/no/such.node' });
    expect(code).toBe(1);
    expect(checks.find(({ name }) => name === 'native addon')).toMatchObject({
      state: 'missing',
      remedy: expect.stringContaining('npm run build:native') as string,
    });
  });
});

describe('usage', () => {
  test.each([
    ['an unknown command', ['wach'], /unknown command 'wach'\n\(Did you mean watch\?\)/],
    ['an unknown option', ['up', '--cofnig', 'x'], /unknown option '--cofnig'\n\(Did you mean --config\?\)/],
    ['a missing argument', ['snapshot', 'gate'], /missing required argument 'file'/],
    ['a number that is none', ['watch', '--min-confidence', '2'], /Give a number from 0 to 1/],
    ['an address that is none', ['status', '-a', 'localhost'], /Give host:port/],
    ['a name that is none', ['infer', '--name', 'a b'], /--name a b: must be/],
  ])('%s ends with 64 and says so', async (_what, args, message) => {
    const { code, err } = await output(args);
    expect(err).toMatch(message);
    expect(code).toBe(64);
  });

  test('--help of every command has an example', async () => {
    const { out } = await output(['--help']);
    const list = /^Commands:\n([^]*?)\n\n/m.exec(out)?.[1] ?? '';
    const commands = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name ?? '');
    expect(commands).toEqual(
      expect.arrayContaining(['up', 'ingest', 'infer', 'sink', 'validate', 'doctor', 'status', 'bus', 'watch', 'snapshot', 'stream', 'model']),
    );
    const helps = await Promise.all(
      commands.filter((name) => !['version', 'help', 'demo'].includes(name)).map((name) => output([name, '--help'])),
    );
    for (const { code, out: help } of helps) {
      expect(code).toBe(0);
      expect(help).toContain('Examples:\n  framebus ');
    }
  });

  test('version', async () => {
    expect((await output(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await output(['version'])).out).toMatch(/^framebus \d+\.\d+\.\d+ \(Node v\d+/);
  });
});
