import type { handleUnaryCall } from '@grpc/grpc-js';
import { toGrpcError } from '../../lib/rpc.js';
import type { StreamServiceServer } from '#proto/framebus/stream/v1/stream_service.js';
import type { StreamUpdates } from './stream_updates.js';

/** Answers a call with what a promise gives, or with the error that it ends with. */
function answer<Request, Response>(work: (request: Request) => Promise<Response> | Response): handleUnaryCall<Request, Response> {
  return (call, done) => {
    Promise.resolve()
      .then(() => work(call.request))
      .then(
        (response) => {
          done(null, response);
        },
        (error: unknown) => {
          done(toGrpcError(error));
        },
      );
  };
}

/** Serves the settings of the streams to gRPC clients. */
export function streamService(updates: Pick<StreamUpdates, 'get' | 'list' | 'update' | 'reset'>): StreamServiceServer {
  return {
    get: answer(({ streamId }) => ({ stream: updates.get(streamId) })),
    list: answer(() => ({ streams: updates.list() })),
    update: answer(async (request) => ({ stream: await updates.update(request) })),
    reset: answer(async ({ streamId }) => ({ stream: await updates.reset(streamId) })),
  };
}
