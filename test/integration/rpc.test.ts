import { credentials, makeGenericClientConstructor, status, type Client, type ClientDuplexStream, type ServiceDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { service as healthDefinition } from 'grpc-health-check';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  SnapshotServiceClient,
  SnapshotServiceService,
  type SnapshotServiceServer,
  type GetSnapshotResponse,
} from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { FramebusError } from '../../lib/errors.js';
import { RpcServer, toGrpcError } from '../../lib/rpc.js';
import { ROOT } from '../helpers/process.js';

/** A server whose snapshots always fail with the error, or never answer. */
async function start(error: Error | 'never'): Promise<{ server: RpcServer; address: string }> {
  const server = new RpcServer({ host: '127.0.0.1', port: 0, key: 'sink.grpc' });
  server.add(SnapshotServiceService, {
    getSnapshot: (_call, callback) => {
      if (error !== 'never') callback(toGrpcError(error));
    },
  } satisfies SnapshotServiceServer);
  const port = await server.listen();
  onTestFinished(() => server.close(0));
  return { server, address: `127.0.0.1:${port}` };
}

function client(address: string): SnapshotServiceClient {
  const it = new SnapshotServiceClient(address, credentials.createInsecure());
  onTestFinished(() => {
    it.close();
  });
  return it;
}

function getSnapshot(to: SnapshotServiceClient): Promise<ServiceError | GetSnapshotResponse> {
  return new Promise((resolve) => {
    to.getSnapshot({ streamId: 'gate', quality: 0, output: '', clean: false }, (error, response) => {
      resolve(error ?? response);
    });
  });
}

/** A method of any client made at run time. */
type Call = (request: object, callback: (error: ServiceError | null, answer: { status: string }) => void) => void;

describe('errors', () => {
  test('carry the status, the message with its remedy, and the code', async () => {
    const { address } = await start(new FramebusError('STREAM_NOT_FOUND', 'stream "gat": not configured'));
    const error = await getSnapshot(client(address));
    expect(error).toMatchObject({
      code: status.NOT_FOUND,
      details: 'stream "gat": not configured. Use one of the names under streams: in the configuration.',
    });
    expect((error as ServiceError).metadata.get('framebus-code')).toEqual(['STREAM_NOT_FOUND']);
  });

  test('of the addon keep their code, others are INTERNAL', () => {
    const native = Object.assign(new Error('ingest-0: refused uid 7'), { code: 'BUS_REFUSED' });
    expect(toGrpcError(native).code).toBe(status.PERMISSION_DENIED);
    expect(toGrpcError(new TypeError('x is undefined')).code).toBe(status.INTERNAL);
  });
});

describe('grpc.health.v1', () => {
  test('says NOT_SERVING until told otherwise, and for each service', async () => {
    const { server, address } = await start('never');
    const Health = makeGenericClientConstructor(healthDefinition, 'Health');
    const health = new Health(address, credentials.createInsecure()) as unknown as Client & { Check: Call };
    onTestFinished(() => {
      health.close();
    });
    const check = (service: string): Promise<string> =>
      new Promise((resolve, reject) => {
        health.Check({ service }, (error, answer) => {
          if (error === null) resolve(answer.status);
          else reject(error);
        });
      });
    expect(await check('')).toBe('NOT_SERVING');
    server.setServing(true);
    expect(await check('')).toBe('SERVING');
    expect(await check('framebus.snapshot.v1.SnapshotService')).toBe('SERVING');
    await expect(check('no.such.Service')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

describe('reflection', () => {
  test('names our services and gives their files', async () => {
    const { address } = await start('never');
    const file = join(ROOT, 'node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto');
    const definition = loadSync(file)['grpc.reflection.v1.ServerReflection'] as ServiceDefinition;
    const Reflection = makeGenericClientConstructor(definition, 'ServerReflection');
    const reflection = new Reflection(address, credentials.createInsecure());
    onTestFinished(() => {
      reflection.close();
    });
    const call = (reflection as unknown as { ServerReflectionInfo(): ClientDuplexStream<object, unknown> }).ServerReflectionInfo();
    // The server may be gone before it has heard of the end.
    call.on('error', () => undefined);
    call.write({ listServices: '' });
    const [list] = (await once(call, 'data')) as [{ listServicesResponse: { service: { name: string }[] } }];
    const names = list.listServicesResponse.service.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        'framebus.detection.v1.DetectionService',
        'framebus.snapshot.v1.SnapshotService',
        'framebus.status.v1.StatusService',
        'inference.GRPCInferenceService',
      ]),
    );
    for (const symbol of ['framebus.detection.v1.DetectionRecord', 'inference.GRPCInferenceService', 'inference.ModelConfig']) {
      call.write({ fileContainingSymbol: symbol });
      const [file_] = (await once(call, 'data')) as [{ fileDescriptorResponse: { fileDescriptorProto: Buffer[] } | null }];
      expect(file_.fileDescriptorResponse?.fileDescriptorProto.length, symbol).toBeGreaterThan(0);
    }
    call.end();
  });
});

describe('life', () => {
  test('a port in use names key and port', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const server = new RpcServer({ host: '127.0.0.1', port, key: 'sink.grpc' });
    await expect(server.listen()).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: `sink.grpc.port: 127.0.0.1:${port} is in use by another program`,
    });
    await server.close();
    other.close();
  });

  test('a host that is not ours names the key', async () => {
    const server = new RpcServer({ host: '192.0.2.1', port: 0, key: 'sink.grpc' });
    await expect(server.listen()).rejects.toMatchObject({ code: 'ADDRESS_UNUSABLE' });
    await server.close();
  });

  test('close cuts a call that does not end, and may be called twice', async () => {
    const { server, address } = await start('never');
    const answer = getSnapshot(client(address));
    // The call is on its way once the channel is ready.
    await new Promise<void>((resolve) => {
      client(address).waitForReady(Date.now() + 10_000, () => {
        resolve();
      });
    });
    await server.close(100);
    await server.close(100);
    expect([status.UNAVAILABLE, status.CANCELLED]).toContain((await answer as ServiceError).code);
  });
});
