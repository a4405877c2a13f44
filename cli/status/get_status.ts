import { Metadata } from '@grpc/grpc-js';
import { type GetStatusResponse, StatusServiceClient } from '#proto/framebus/status/v1/status_service.js';
import { callError, openClient } from '../client.js';

const DEADLINE_MS = 5_000;

/** Asks sink how all services are. Throws SERVICE_UNREACHABLE, SERVICE_FAILED. */
export function getStatus(address: string): Promise<GetStatusResponse> {
  const client = openClient(StatusServiceClient, address);
  return new Promise<GetStatusResponse>((resolve, reject) => {
    const deadline = Date.now() + DEADLINE_MS;
    client.getStatus({}, new Metadata(), { deadline }, (error, response) => {
      if (error === null) resolve(response);
      else reject(callError(error, address));
    });
  }).finally(() => {
    client.close();
  });
}
