import { credentials, type ServiceError } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import {
  StreamServiceClient,
  type GetResponse,
  type ListResponse,
  type ResetResponse,
  type StreamInfo,
  type UpdateResponse,
} from '#proto/framebus/stream/v1/stream_service.js';
import { StreamSettings } from '#proto/framebus/stream/v1/stream_settings.js';

type Callback<T> = (error: ServiceError | null, response: T) => void;

function promised<T>(call: (done: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

/** Asks a running ingest; errors come as gRPC's. Closed with the test. */
export class StreamClient {
  readonly #client: StreamServiceClient;

  constructor(address: string) {
    this.#client = new StreamServiceClient(address, credentials.createInsecure());
    onTestFinished(() => {
      this.#client.close();
    });
  }

  async list(): Promise<StreamInfo[]> {
    return (await promised<ListResponse>((done) => this.#client.list({}, done))).streams;
  }

  async get(streamId: string): Promise<StreamInfo> {
    return (await promised<GetResponse>((done) => this.#client.get({ streamId }, done))).stream!;
  }

  async reset(streamId: string): Promise<StreamInfo> {
    return (await promised<ResetResponse>((done) => this.#client.reset({ streamId }, done))).stream!;
  }

  /** @param fields names of the settings that are meant; those of `settings` unless said otherwise */
  async update(streamId: string, settings: Partial<StreamSettings>, fields?: string[], revision = 0n): Promise<StreamInfo> {
    const updateMask = fields ?? Object.keys(settings).map((key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
    const request = { streamId, settings: StreamSettings.fromPartial(settings), updateMask, revision };
    return (await promised<UpdateResponse>((done) => this.#client.update(request, done))).stream!;
  }
}
