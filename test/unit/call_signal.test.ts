import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { SnapshotServiceService, type SnapshotServiceServer } from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { callSignal } from '../../lib/call_signal.js';
import { RpcServer } from '../../lib/rpc.js';
import { eventually } from '../helpers/eventually.js';

/** An empty message, as gRPC frames it. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** A server that never answers, and the signals of the calls that it has got. */
async function start(): Promise<{ signals: AbortSignal[]; port: number }> {
  const signals: AbortSignal[] = [];
  const server = new RpcServer({ host: '127.0.0.1', port: 0, key: 'sink.grpc' });
  server.add(SnapshotServiceService, {
    getSnapshot: (call) => void signals.push(callSignal(call)),
  } satisfies SnapshotServiceServer);
  const port = await server.listen();
  onTestFinished(() => server.close(0));
  return { signals, port };
}

/** A call whose message and end come when the test wants it. */
function openCall(port: number, timeout: string): { write: () => void; end: () => void; cancel: () => void } {
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': SnapshotServiceService.getSnapshot.path,
    'content-type': 'application/grpc',
    'grpc-timeout': timeout,
    te: 'trailers',
  });
  stream.on('error', () => undefined).resume();
  return { write: () => void stream.write(EMPTY_MESSAGE), end: () => stream.end(), cancel: () => stream.close(constants.NGHTTP2_CANCEL) };
}

describe('the signal of a call', () => {
  test('is aborted when the client cancels', async () => {
    const { signals, port } = await start();
    const call = openCall(port, '60S');
    call.write();
    call.end();
    const signal = await eventually('the call is there', () => signals[0]);
    expect(signal.aborted).toBe(false);
    call.cancel();
    await once(signal, 'abort');
  });

  test('is aborted when the deadline passes', async () => {
    const { signals, port } = await start();
    const call = openCall(port, '300m');
    call.write();
    call.end();
    const signal = await eventually('the call is there', () => signals[0]);
    await eventually('it is aborted', () => signal.aborted);
  });

  test('is aborted from the start when the deadline passed before the request was whole', async () => {
    const { signals, port } = await start();
    const call = openCall(port, '50m');
    call.write();
    await sleep(200);
    call.end();
    const signal = await eventually('the call is there', () => signals[0]);
    expect(signal.aborted).toBe(true);
  });
});
