import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { credentials, makeGenericClientConstructor, status as grpcStatus, type Client } from '@grpc/grpc-js';
import { service as healthDefinition } from 'grpc-health-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { encodeResult } from '../../lib/messages.js';
import { StatusBoard } from '../../lib/status.js';
import * as subjects from '../../lib/subjects.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { ResultMessage } from '#proto/framebus/result/v1/result.js';
import {
  SnapshotServiceClient,
  type GetSnapshotResponse,
} from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { ServiceState, type ServiceStatus, type StreamStatus } from '#proto/framebus/status/v1/status.js';
import { StatusServiceClient } from '#proto/framebus/status/v1/status_service.js';
import { eventually } from '../helpers/eventually.js';
import { LOSSLESS, SinkRig, subscribe, TestProducer } from '../helpers/sink_rig.js';
import { tempFile } from '../helpers/temp.js';

const run = promisify(execFile);

interface Probe {
  codec_name: string;
  width: number;
  height: number;
  r_frame_rate: string;
}

async function ffprobe(...input: string[]): Promise<Probe | undefined> {
  const show = ['-show_entries', 'stream=codec_name,width,height,r_frame_rate', '-of', 'json'];
  const { stdout } = await run('ffprobe', ['-v', 'error', ...show, ...input], { timeout: 20_000 });
  return (JSON.parse(stdout) as { streams: Probe[] }).streams[0];
}

/** The last word of a sink on a stream. */
async function lastStatus(rig: SinkRig, streamId: string): Promise<(expected?: (stream: StreamStatus) => boolean) => Promise<StreamStatus>> {
  const board = new StatusBoard(rig.nats);
  const heard: ServiceStatus[] = [];
  board.onStatus((status) => heard.push(status));
  await rig.nats.flush();
  const ofStream = ({ streams }: ServiceStatus): StreamStatus[] => streams.filter((stream) => stream.streamId === streamId);
  return (expected) =>
    eventually(
      expected === undefined ? 'the last status' : 'the expected status',
      () => {
        if (expected !== undefined) return heard.flatMap(ofStream).find(expected);
        return heard.filter(({ state }) => state === ServiceState.SERVICE_STATE_STOPPED).flatMap(ofStream)[0];
      },
      { timeoutMs: 60_000 },
    );
}

/** Every frame that came in was encoded, or dropped for exactly one of the sink's reasons. */
function expectBalance(status: StreamStatus): void {
  const reasons = ['late', 'duplicate', 'stale', 'encoder_full', 'encoder_failed'];
  const dropped = reasons.reduce((sum, reason) => sum + (status.drops[reason] ?? 0n), 0n);
  expect(status.framesOut + dropped, JSON.stringify(status.drops, (_, v: unknown) => String(v))).toBe(status.framesIn);
}

/** What grpc.health.v1 says of a service. */
function health(address: string, service: string): Promise<string> {
  const Health = makeGenericClientConstructor(healthDefinition, 'Health');
  const client = new Health(address, credentials.createInsecure()) as unknown as Client & {
    Check(request: object, callback: (error: Error | null, answer: { status: string }) => void): void;
  };
  onTestFinished(() => {
    client.close();
  });
  return new Promise((resolve, reject) => {
    client.Check({ service }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer.status);
    });
  });
}

function getSnapshot(address: string, streamId: string): Promise<GetSnapshotResponse> {
  const client = new SnapshotServiceClient(address, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
  });
  return new Promise((resolve, reject) => {
    client.getSnapshot({ streamId, quality: 0, output: '', clean: false }, (error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
  });
}

describe('sink', () => {
  test('serves records, pictures and numbers of a stream', async () => {
    const rig = await SinkRig.start();
    const last = await lastStatus(rig, 'gate');
    const { process: sink, addresses } = await rig.sink();
    const all = subscribe(addresses.grpc);
    const persons = subscribe(addresses.grpc, { streamIds: ['gate'], labels: ['person'], minConfidence: 0.5 });
    const trucks = subscribe(addresses.grpc, { labels: ['truck'], onlyWithDetections: true });
    await expect(getSnapshot(addresses.grpc, 'gate')).rejects.toMatchObject({ code: grpcStatus.UNAVAILABLE });
    expect((await fetch(`${addresses.page}streams/gate/live.mp4`)).status).toBe(503);

    new TestProducer(rig.directory, rig.nats).play('gate');
    await eventually('100 records', () => persons.responses.length >= 100);

    const seqs = all.seqs();
    expect(seqs).toEqual(Array.from(seqs, (_, i) => (seqs[0] ?? 0) + i));
    const record = persons.responses[50]?.record;
    expect(record?.detections.map((d) => d.label)).toEqual(['person']);
    expect(record).toMatchObject({ streamId: 'gate', width: 320, height: 240, model: 'test' });
    expect(record?.status).toBe(InferenceStatus.INFERENCE_STATUS_INFERRED);
    expect(Number(record?.latencyNs)).toBeGreaterThan(0);
    expect(all.responses[50]?.record?.detections).toHaveLength(2);
    expect(trucks.responses).toHaveLength(0);

    const { jpeg, record: shown } = await getSnapshot(addresses.grpc, 'gate');
    const still = await ffprobe(tempFile('still.jpg', jpeg));
    expect(still).toMatchObject({ codec_name: 'mjpeg', width: 320, height: 240 });
    expect(Number(shown?.seq)).toBeGreaterThanOrEqual(seqs.at(-1) ?? Infinity);
    const page = await fetch(`${addresses.page}streams/gate/snapshot.jpg?quality=50`);
    expect(page.headers.get('content-type')).toBe('image/jpeg');
    expect((await page.arrayBuffer()).byteLength).toBeLessThan(jpeg.byteLength);

    expect(await ffprobe('-rtsp_transport', 'tcp', `${addresses.rtsp}/gate`)).toMatchObject({
      codec_name: 'h264',
      width: 320,
      height: 240,
    });
    const metrics = await (await fetch(new URL('/metrics', addresses.page))).text();
    expect(metrics).toMatch(/framebus_frames_total\{stream="gate",stage="sink",outcome="out",.*\} [1-9]/);
    expect((await fetch(new URL('/healthz', addresses.page))).status).toBe(200);
    expect((await fetch(new URL('/readyz', addresses.page))).status).toBe(200);

    sink.kill('SIGTERM');
    expect(await sink.exitCode(), sink.stderr).toBe(0);
    expect(await all.error).toMatchObject({ code: grpcStatus.UNAVAILABLE });
    const status = await last();
    expect(status.framesOut).toBeGreaterThanOrEqual(100n);
    expect(status.detections['person']).toBe(status.framesIn);
    expect(status.latency?.p99Ms ?? 0).toBeGreaterThan(0);
    expectBalance(status);
  });

  test('plays as fragmented MP4 over HTTP', async () => {
    const rig = await SinkRig.start();
    const { addresses } = await rig.sink();
    new TestProducer(rig.directory, rig.nats).play('gate');
    const response = await eventually('a picture', async () => {
      const answer = await fetch(`${addresses.page}streams/gate/live.mp4`);
      return answer.ok ? answer : null;
    });
    const started = performance.now();
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      if (performance.now() - started > 2_000) break;
    }
    const file = tempFile('live.mp4', Buffer.concat(chunks));
    expect(await ffprobe(file)).toMatchObject({ codec_name: 'h264', width: 320, height: 240 });
    const { stdout } = await run('ffprobe', ['-v', 'error', '-count_frames', '-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0', file]);
    // Two seconds at 25 a second.
    expect(Number.parseInt(stdout, 10)).toBeGreaterThan(30);
  });

  test('puts results back in order and accounts for every one', async () => {
    const rig = await SinkRig.start();
    const last = await lastStatus(rig, 'gate');
    const { process: sink, addresses } = await rig.sink();
    const all = subscribe(addresses.grpc);
    // Every fifth is slow, every seventh comes twice, every thirtieth much too late.
    const plan = (seq: bigint): number[] => {
      if (seq % 30n === 29n) return [1_400];
      if (seq % 5n === 4n) return [120];
      return seq % 7n === 6n ? [0, 30] : [0];
    };
    const producer = new TestProducer(rig.directory, rig.nats, plan);
    producer.play('gate');
    await eventually('150 records', () => all.responses.length >= 150, { timeoutMs: 30_000 });
    const seqs = all.seqs();
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect(seqs).toContain(4);
    expect(seqs).not.toContain(29);
    sink.kill('SIGTERM');
    expect(await sink.exitCode(), sink.stderr).toBe(0);
    const status = await last();
    expect(status.drops['duplicate']).toBeGreaterThan(5n);
    expect(status.drops['late']).toBeGreaterThan(1n);
    expectBalance(status);
  });

  test('records a frame without its picture when the slot has moved on, and counts it', async () => {
    const rig = await SinkRig.start();
    const last = await lastStatus(rig, 'gate');
    const { process: sink, addresses } = await rig.sink();
    const all = subscribe(addresses.grpc);
    await all.started;
    const send = (seq: bigint): void => {
      const frame = {
        streamId: 'gate',
        producer: 'nobody',
        epoch: { uuid: '0'.repeat(32), createdUnixNs: 1n },
        seq,
        format: { width: 64, height: 48 },
      };
      rig.nats.publish(subjects.results('gate'), encodeResult(ResultMessage.fromPartial({ frame })));
    };
    for (let seq = 0n; seq < 5n; seq++) send(seq);
    await eventually('5 records', () => all.responses.length === 5);
    // Not ours: another version, another stream, no message at all.
    const other = ResultMessage.encode(ResultMessage.fromPartial({ schemaVersion: 99 })).finish();
    rig.nats.publish(subjects.results('gate'), other);
    rig.nats.publish(subjects.results('gate'), Buffer.from('garbage'));
    send(5n);
    await eventually('6 records', () => all.responses.length === 6);
    sink.kill('SIGTERM');
    expect(await sink.exitCode(), sink.stderr).toBe(0);
    const status = await last();
    expect(status.drops).toMatchObject({ stale: 6n, unknown_version: 1n });
    expectBalance(status);
    expect(sink.stderr).toContain('BUS_UNREACHABLE');
  });

  test('refuses what it does not know, in words', async () => {
    const rig = await SinkRig.start(['gate', 'yard']);
    const { addresses } = await rig.sink();
    const unknown = await subscribe(addresses.grpc, { streamIds: ['gate', 'barn'] }).error;
    expect(unknown.code).toBe(grpcStatus.NOT_FOUND);
    expect(unknown.details).toContain('stream "barn": not found; known are gate, yard');
    const confident = await subscribe(addresses.grpc, { minConfidence: 2 }).error;
    expect(confident.code).toBe(grpcStatus.INVALID_ARGUMENT);
    await expect(getSnapshot(addresses.grpc, 'barn')).rejects.toMatchObject({ code: grpcStatus.NOT_FOUND });
    expect((await fetch(`${addresses.page}streams/barn/live.mp4`)).status).toBe(404);
    expect((await fetch(`${addresses.page}../../package.json`)).status).toBe(404);
    expect((await fetch(`${addresses.page}streams/gate/snapshot.jpg?quality=900`)).status).toBe(400);

    for (const name of ['detection', 'snapshot', 'status']) {
      const service = `framebus.${name}.v1.${name.charAt(0).toUpperCase()}${name.slice(1)}Service`;
      expect(await health(addresses.grpc, service)).toBe('SERVING');
    }
    const client = new StatusServiceClient(addresses.grpc, credentials.createInsecure());
    onTestFinished(() => {
      client.close();
    });
    const services = await eventually('its own status', () => {
      return new Promise<ServiceStatus[] | null>((resolve, reject) => {
        client.getStatus({}, (error, answer) => {
          if (error) reject(error);
          else resolve(answer.services.length > 0 ? answer.services : null);
        });
      });
    });
    expect(services[0]).toMatchObject({ service: 'sink', instance: 'sink-0' });
    expect(services[0]?.streams.map((s) => s.streamId)).toEqual(['gate', 'yard']);
  });

  test('resumes after kill -9', async () => {
    const rig = await SinkRig.start();
    const first = await rig.sink();
    const producer = new TestProducer(rig.directory, rig.nats);
    producer.play('gate');
    const before = subscribe(first.addresses.grpc);
    await eventually('records', () => before.responses.length > 20);
    first.process.kill('SIGKILL');
    await first.process.exitCode();
    const second = await rig.sink();
    const after = subscribe(second.addresses.grpc);
    await eventually('records again', () => after.responses.length > 20);
    expect(after.seqs()[0]).toBeGreaterThan(before.seqs().at(-1) ?? Infinity);
    expect(await ffprobe('-rtsp_transport', 'tcp', `${second.addresses.rtsp}/gate`)).toMatchObject({
      width: 320,
    });
    const { jpeg } = await getSnapshot(second.addresses.grpc, 'gate');
    expect(jpeg.byteLength).toBeGreaterThan(1_000);
  });

  test('follows a stream into another format under the same address', async () => {
    const rig = await SinkRig.start();
    const last = await lastStatus(rig, 'gate');
    const { process: sink, addresses } = await rig.sink();
    const producer = new TestProducer(rig.directory, rig.nats);
    const all = subscribe(addresses.grpc);
    const end = producer.play('gate');
    await eventually('small pictures', () => all.responses.length > 20);
    const viewer = await fetch(`${addresses.page}streams/gate/live.mp4`);
    end();
    producer.play('gate', { width: 640, height: 360 });
    await eventually('large pictures', () => all.responses.at(-1)?.record?.width === 640);
    // The viewer of the small pictures is ended, not left hanging.
    await viewer.arrayBuffer();
    await eventually('a large snapshot', async () => {
      const { jpeg } = await getSnapshot(addresses.grpc, 'gate');
      return (await ffprobe(tempFile('still.jpg', jpeg)))?.width === 640;
    });
    expect(await ffprobe('-rtsp_transport', 'tcp', `${addresses.rtsp}/gate`)).toMatchObject({
      width: 640,
      height: 360,
    });
    sink.kill('SIGTERM');
    expect(await sink.exitCode(), sink.stderr).toBe(0);
    expectBalance(await last());
  });

  test('drops pictures of a camera that the encoder cannot keep up with, never those of a file', async () => {
    const rig = await SinkRig.start(['gate', LOSSLESS]);
    const [live, file] = [await lastStatus(rig, 'gate'), await lastStatus(rig, LOSSLESS)];
    const { process: sink, addresses } = await rig.sink();
    const all = subscribe(addresses.grpc);
    await all.started;
    const producer = new TestProducer(rig.directory, rig.nats);
    const large = { width: 1280, height: 720, fps: 500 };
    producer.play('gate', large);
    producer.play(LOSSLESS, { ...large, count: 150, wait: true });
    const seqsOf = (id: string): number[] =>
      all.responses.filter((r) => r.record?.streamId === id).map((r) => Number(r.record?.seq));
    await eventually('the whole file', () => seqsOf(LOSSLESS).length >= 150, { timeoutMs: 60_000 });
    await live(({ drops }) => (drops['encoder_full'] ?? 0n) > 0n);
    sink.kill('SIGTERM');
    expect(await sink.exitCode(), sink.stderr).toBe(0);
    const [liveStatus, fileStatus] = [await live(), await file()];
    expect(seqsOf(LOSSLESS)).toEqual(Array.from({ length: 150 }, (_, i) => i));
    expect(fileStatus.drops).toEqual({});
    expect(fileStatus.framesOut).toBe(150n);
    expect(liveStatus.drops['encoder_full'] ?? 0n).toBeGreaterThan(0n);
    expectBalance(liveStatus);
  });

  test('says which port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => {
      taken.close();
    });
    const { port } = taken.address() as { port: number };
    const rig = await SinkRig.start(['gate'], { grpc: port });
    const sink = rig.run();
    expect(await sink.exitCode()).toBe(69);
    expect(sink.stderr).toContain(`sink.grpc.port: 127.0.0.1:${port} is in use`);
    const other = (await SinkRig.start(['gate'], { rtsp: port })).run();
    expect(await other.exitCode()).toBe(69);
    expect(other.stderr).toContain(`${port}`);
    expect(other.stderr).toContain('RTSP_PORT_IN_USE');
  });
});
