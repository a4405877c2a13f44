import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import type { StatusBoard } from '../../lib/status.js';
import type {
  GetStatusRequest,
  GetStatusResponse,
  StatusServiceServer,
} from '#proto/framebus/status/v1/status_service.js';

/** Serves the status of all services to gRPC clients. */
export function statusService(board: Pick<StatusBoard, 'latest'>): StatusServiceServer {
  return {
    getStatus: (
      _call: ServerUnaryCall<GetStatusRequest, GetStatusResponse>,
      done: sendUnaryData<GetStatusResponse>,
    ) => {
      done(null, { services: board.latest() });
    },
  };
}
