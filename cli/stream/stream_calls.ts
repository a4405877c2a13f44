import { Metadata, type CallOptions, type ServiceError } from '@grpc/grpc-js';
import { StreamServiceClient, type StreamInfo, type UpdateRequest } from '#proto/framebus/stream/v1/stream_service.js';
import { FramebusError } from '../../lib/errors.js';
import { callError, openClient } from '../client.js';

const DEADLINE_MS = 5_000;
/** Longer than ingest waits for a worker to load a model. */
const CHANGE_DEADLINE_MS = 75_000;

type Send<T> = (client: StreamServiceClient, options: CallOptions, done: (error: ServiceError | null, response: T) => void) => void;

/** Asks ingest; throws what it says, and SERVICE_UNREACHABLE, SERVICE_FAILED. */
function ask<T>(address: string, deadlineMs: number, send: Send<T>): Promise<T> {
  const client = openClient(StreamServiceClient, address);
  return new Promise<T>((resolve, reject) => {
    send(client, { deadline: Date.now() + deadlineMs }, (error, response) => {
      if (error === null) resolve(response);
      else reject(callError(error, address, 'ingest'));
    });
  }).finally(() => {
    client.close();
  });
}

function present(stream: StreamInfo | undefined, address: string): StreamInfo {
  if (stream !== undefined) return stream;
  throw new FramebusError('SERVICE_FAILED', `ingest at ${address}: its answer names no stream`);
}

export const listStreams = (address: string): Promise<StreamInfo[]> =>
  ask<{ streams: StreamInfo[] }>(address, DEADLINE_MS, (client, options, done) => client.list({}, new Metadata(), options, done)).then(
    ({ streams }) => streams,
  );

type Answer = { stream: StreamInfo | undefined };

export const getStream = (address: string, streamId: string): Promise<StreamInfo> =>
  ask<Answer>(address, DEADLINE_MS, (client, options, done) => client.get({ streamId }, new Metadata(), options, done)).then(({ stream }) =>
    present(stream, address),
  );

/** Resolves when the change holds. */
export const updateStream = (address: string, request: UpdateRequest): Promise<StreamInfo> =>
  ask<Answer>(address, CHANGE_DEADLINE_MS, (client, options, done) => client.update(request, new Metadata(), options, done)).then(
    ({ stream }) => present(stream, address),
  );

/** Resolves when the configuration holds again. */
export const resetStream = (address: string, streamId: string): Promise<StreamInfo> =>
  ask<Answer>(address, CHANGE_DEADLINE_MS, (client, options, done) => client.reset({ streamId }, new Metadata(), options, done)).then(
    ({ stream }) => present(stream, address),
  );
