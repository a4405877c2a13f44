import { credentials, status, type ClientReadableStream } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FramebusError } from '../../lib/errors.js';
import { RpcServer } from '../../lib/rpc.js';
import { DetectionServiceImpl } from '../../services/sink/detection_service.js';
import { RecordHub } from '../../services/sink/record_hub.js';
import type { StoredRecords } from '../../services/sink/record_start.js';
import {
  DetectionServiceClient,
  DetectionServiceService,
  SubscribeRequest,
  type SubscribeResponse,
} from '#proto/framebus/detection/v1/detection_service.js';
import { MissedReason } from '#proto/framebus/detection/v1/missed_records.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { eventually } from '../helpers/eventually.js';

/** A sink that stores nothing. */
const NO_STORE: StoredRecords = {
  isOn: false,
  head: () => null,
  state: () => Promise.reject(new Error('off')),
  reader: () => {
    throw new Error('off');
  },
};

/** The service alone, on a real gRPC server; "gate" is the one stream. */
async function start(queue: number) {
  const hub = new RecordHub(queue);
  const service = new DetectionServiceImpl(hub, {
    require: (id) => {
      if (id !== 'gate') throw new FramebusError('STREAM_NOT_FOUND', `stream "${id}": not found`);
    },
  }, NO_STORE);
  const server = new RpcServer({ host: '127.0.0.1', port: 0, key: 'sink.grpc' });
  server.add(DetectionServiceService, service.handlers);
  const port = await server.listen();
  const client = new DetectionServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(async () => {
    client.close();
    await server.close(0);
  });
  return { hub, service, server, client };
}

/** Records large enough to fill HTTP/2 windows soon. */
const record = (seq: number): DetectionRecord =>
  DetectionRecord.fromPartial({
    streamId: 'gate',
    seq: BigInt(seq),
    detections: Array.from({ length: 100 }, () => ({ label: 'person', confidence: 0.5 })),
  });

/** Records that a slow reader lost before this one. */
const lost = ({ missed }: SubscribeResponse): number =>
  missed.reduce((sum, { count, reason }) => sum + (reason === MissedReason.MISSED_REASON_SLOW_READER ? Number(count) : 0), 0);

async function subscribed(hub: RecordHub, call: ClientReadableStream<SubscribeResponse>) {
  const responses: SubscribeResponse[] = [];
  call.on('data', (response: SubscribeResponse) => {
    if (response.record !== undefined) responses.push(response);
  });
  await eventually('a subscriber', () => hub.subscribers > 0);
  return responses;
}

describe('DetectionService', () => {
  test('tells a slow subscriber how many records it lost, and holds nobody up', async () => {
    const { hub, client } = await start(32);
    const slow = client.subscribe(SubscribeRequest.fromPartial({}));
    const got = await subscribed(hub, slow);
    slow.pause();
    const quick = client.subscribe(SubscribeRequest.fromPartial({ streamIds: ['gate'] }));
    const all: SubscribeResponse[] = [];
    quick.on('data', (response: SubscribeResponse) => {
      if (response.record !== undefined) all.push(response);
    });
    await eventually('both', () => hub.subscribers === 2);
    const count = 2_000;
    for (let seq = 0; seq < count; seq++) {
      hub.publish(record(seq), null);
      if (seq % 10 === 9) await eventually('the quick one', () => all.length > seq - 16);
    }
    await eventually('all', () => all.length === count);
    expect(hub.dropped).toBeGreaterThan(100);
    slow.resume();
    await eventually('the last', () => got.at(-1)?.record?.seq === BigInt(count - 1));
    const dropped = got.reduce((sum, response) => sum + lost(response), 0);
    expect(dropped).toBe(hub.dropped);
    expect(got.length + dropped).toBe(count);
    // Each gap in the numbers is told with the first record behind it.
    for (const [i, response] of got.entries()) {
      const before = i === 0 ? -1n : (got[i - 1]?.record?.seq ?? -1n);
      expect((response.record?.seq ?? 0n) - before - 1n).toBe(BigInt(lost(response)));
    }
    slow.on('error', () => undefined);
    quick.on('error', () => undefined);
  });

  test('forgets a client that goes', async () => {
    const { hub, client } = await start(8);
    const call = client.subscribe(SubscribeRequest.fromPartial({}));
    call.on('error', () => undefined);
    await subscribed(hub, call);
    call.cancel();
    await eventually('nobody', () => hub.subscribers === 0);
  });

  test('ends with UNAVAILABLE when the sink stops, and then takes nobody', async () => {
    const { hub, service, client } = await start(8);
    const end = (call: ClientReadableStream<SubscribeResponse>) =>
      new Promise<{ code: number; details: string }>((resolve) => {
        call.on('error', (error: Error) => {
          resolve(error as unknown as { code: number; details: string });
        });
      });
    const call = client.subscribe(SubscribeRequest.fromPartial({}));
    const ended = end(call);
    const got = await subscribed(hub, call);
    hub.publish(record(0), null);
    service.close();
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
    expect(got).toHaveLength(1);
    const late = client.subscribe(SubscribeRequest.fromPartial({}));
    late.on('data', () => undefined);
    expect(await end(late)).toMatchObject({ code: status.UNAVAILABLE });
  });

  test('refuses a stream that is not there', async () => {
    const { client } = await start(8);
    const call = client.subscribe(SubscribeRequest.fromPartial({ streamIds: ['barn'] }));
    call.on('data', () => undefined);
    const error = await new Promise((resolve) => call.on('error', resolve));
    expect(error).toMatchObject({ code: status.NOT_FOUND });
    expect((error as Error).message).toContain('barn');
  });

  test('says that all is well while there is nothing to tell', async () => {
    const { client } = await start(8);
    const call = client.subscribe(SubscribeRequest.fromPartial({ heartbeatMs: 100 }));
    call.on('error', () => undefined);
    const got: SubscribeResponse[] = [];
    call.on('data', (response: SubscribeResponse) => got.push(response));
    await eventually('heartbeats', () => got.length >= 3);
    expect(got.every(({ record, cursor, missed }) => record === undefined && cursor === '' && missed.length === 0)).toBe(true);
    call.cancel();
  });

  test.each<[string, Partial<SubscribeRequest>, status, RegExp]>([
    ['the beginning', { fromBeginning: true }, status.FAILED_PRECONDITION, /max_bytes is 0/],
    ['every record', { everyRecord: true }, status.FAILED_PRECONDITION, /max_bytes is 0/],
    ['what is no cursor', { resumeAfter: 'yesterday' }, status.INVALID_ARGUMENT, /"yesterday" is no cursor/],
    ['two starts', { sinceUnixNs: 1n, fromBeginning: true }, status.INVALID_ARGUMENT, /only one/],
    ['a time before 1970', { sinceUnixNs: -1n }, status.INVALID_ARGUMENT, /before 1970/],
    ['too many heartbeats', { heartbeatMs: 99 }, status.INVALID_ARGUMENT, /heartbeat_ms: 99/],
  ])('refuses %s', async (_what, request, code, details) => {
    const { client, hub } = await start(8);
    const call = client.subscribe(SubscribeRequest.fromPartial(request));
    call.on('data', () => undefined);
    const error = await new Promise((resolve) => call.on('error', resolve));
    expect(error).toMatchObject({ code });
    expect((error as { details: string }).details).toMatch(details);
    expect(hub.subscribers).toBe(0);
  });
});
