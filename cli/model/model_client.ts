import { Metadata, type ClientUnaryCall, type ServiceError } from '@grpc/grpc-js';
import {
  ModelServiceClient,
  type ListResponse,
  type LoadResponse,
  type SwapResponse,
  type UnloadResponse,
  type WatchResponse,
} from '#proto/framebus/model/v1/model_service.js';
import { FramebusError } from '../../lib/errors.js';
import { callError, openClient } from '../client.js';

type Done<T> = (error: ServiceError | null, response: T) => void;
type Start<T> = (metadata: Metadata, options: { deadline: number }, done: Done<T>) => ClientUnaryCall;

/** How long a call may take, and what ends it before. */
export interface CallLimits {
  timeoutMs: number;
  /** When it is aborted, the worker makes no change any more. */
  signal?: AbortSignal;
}

const LIST_TIMEOUT_MS = 5_000;

/** Asks a worker for changes of its models. Throws what the worker says, SERVICE_UNREACHABLE, SERVICE_FAILED, DEADLINE, CANCELLED. */
export class ModelClient {
  readonly #address: string;
  readonly #client: ModelServiceClient;

  constructor(address: string) {
    this.#address = address;
    this.#client = openClient(ModelServiceClient, address);
  }

  load(name: string, manifest: string, limits: CallLimits): Promise<LoadResponse> {
    return this.#call((...rest) => this.#client.load({ name, manifest }, ...rest), limits);
  }

  swap(name: string, manifest: string, limits: CallLimits): Promise<SwapResponse> {
    return this.#call((...rest) => this.#client.swap({ name, manifest }, ...rest), limits);
  }

  unload(name: string, limits: CallLimits): Promise<UnloadResponse> {
    return this.#call((...rest) => this.#client.unload({ name }, ...rest), limits);
  }

  list(): Promise<ListResponse> {
    return this.#call((...rest) => this.#client.list({}, ...rest), { timeoutMs: LIST_TIMEOUT_MS });
  }

  /** Tells how the models are, now and after every change, until the signal is aborted. Resolves to what else has ended it. */
  watch(signal: AbortSignal, listener: (response: WatchResponse) => void): Promise<FramebusError | undefined> {
    return new Promise((resolve) => {
      const call = this.#client.watch({});
      const cancel = (): void => call.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      call.on('data', listener);
      call.on('error', (error: ServiceError) => resolve(signal.aborted ? undefined : callError(error, this.#address, 'infer')));
      call.on('end', () => resolve(undefined));
    });
  }

  close(): void {
    this.#client.close();
  }

  #call<T>(start: Start<T>, { timeoutMs, signal }: CallLimits): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    return new Promise((resolve, reject) => {
      const call = start(new Metadata(), { deadline }, (error, response) => {
        signal?.removeEventListener('abort', cancel);
        if (error === null) resolve(response);
        else if (signal?.aborted === true) reject(new FramebusError('CANCELLED', 'the change was cancelled; nothing has changed'));
        else if (Date.now() >= deadline) reject(new FramebusError('DEADLINE', `infer at ${this.#address}: not done within ${timeoutMs / 1000} s; nothing has changed`));
        else reject(callError(error, this.#address, 'infer'));
      });
      const cancel = (): void => call.cancel();
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }
}
