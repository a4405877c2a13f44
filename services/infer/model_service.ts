import { Metadata, type handleUnaryCall, type ServerUnaryCall, type ServerWritableStream } from '@grpc/grpc-js';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { callSignal } from '../../lib/call_signal.js';
import { FramebusError } from '../../lib/errors.js';
import { toGrpcError } from '../../lib/rpc.js';
import { NAME } from '../../lib/subjects.js';
import type { ModelServiceServer, WatchRequest, WatchResponse } from '#proto/framebus/model/v1/model_service.js';
import type { ServedModel } from '#proto/framebus/model/v1/served_model.js';
import type { DesiredModels } from './desired_models.js';
import type { ModelRegistry } from './model_registry.js';

export interface ModelServiceParts {
  /** Name of the worker. */
  instance: string;
  registry: Pick<ModelRegistry, 'statuses' | 'onChange'>;
  models: Pick<DesiredModels, 'load' | 'swap' | 'unload'>;
}

type WatchCall = ServerWritableStream<WatchRequest, WatchResponse>;

/** Serves the models of a worker, and their changes, to gRPC clients. */
export class ModelServiceImpl {
  readonly #parts: ModelServiceParts;
  readonly #watches = new Set<WatchCall>();
  #closed = false;

  constructor(parts: ModelServiceParts) {
    this.#parts = parts;
  }

  get handlers(): ModelServiceServer {
    const { models, registry, instance } = this.#parts;
    return {
      load: this.#answer(async ({ name, manifest }, signal) => {
        const model = await models.load({ name: checkedName(name), manifest: checkedManifest(manifest), signal });
        return { model };
      }),
      swap: this.#answer(async ({ name, manifest }, signal) => {
        const { status, previous } = await models.swap({ name: checkedName(name), manifest: checkedManifest(manifest), signal });
        return { model: status, previous };
      }),
      unload: this.#answer(async ({ name }) => {
        await models.unload(checkedName(name));
        return {};
      }),
      list: this.#answer(() => Promise.resolve({ instance, models: registry.statuses() })),
      watch: (call: WatchCall) => this.#watch(call),
    };
  }

  /** Ends all watches with UNAVAILABLE, and takes no call any more. */
  close(): void {
    this.#closed = true;
    for (const call of this.#watches) call.emit('error', stopping());
  }

  /** @param work is given a signal that is aborted when the client has gone, or does not wait any longer */
  #answer<Request, Response>(work: (request: Request, signal: AbortSignal) => Promise<Response>): handleUnaryCall<Request, Response> {
    return (call: ServerUnaryCall<Request, Response>, done) => {
      const gone = callSignal(call);
      const answer = this.#closed ? Promise.reject(stopping()) : Promise.resolve().then(() => work(call.request, gone));
      answer.then(
        (response) => done(null, response),
        (error: unknown) => done(toGrpcError(error)),
      );
    };
  }

  /** Changes that come at once, or while the client does not read, are one message. */
  #watch(call: WatchCall): void {
    if (this.#closed) return void call.emit('error', stopping());
    const gone = callSignal(call);
    if (gone.aborted) return;
    const { registry } = this.#parts;
    let isDue = true;
    let isFull = false;
    let told: readonly ServedModel[] | null = null;
    const send = (): void => {
      if (!isDue || isFull || !this.#watches.has(call)) return;
      isDue = false;
      const models = registry.statuses();
      if (isDeepStrictEqual(models, told)) return;
      told = models;
      isFull = !call.write({ models });
    };
    const forget = registry.onChange(() => {
      if (!isDue) setImmediate(send);
      isDue = true;
    });
    const end = (): void => {
      this.#watches.delete(call);
      forget();
    };
    this.#watches.add(call);
    call.on('drain', () => {
      isFull = false;
      send();
    });
    call.on('close', end);
    gone.addEventListener('abort', () => {
      end();
      call.end();
    });
    call.sendMetadata(new Metadata());
    send();
  }
}

/** @throws OPTION_INVALID */
function checkedName(name: string): string {
  if (NAME.test(name)) return name;
  throw new FramebusError('OPTION_INVALID', `name: "${name}" is no name: use 1 to 64 of A-Z a-z 0-9 _ -`);
}

/** A relative path would be taken from the worker's folder, which nobody knows. @throws OPTION_INVALID */
function checkedManifest(manifest: string): string | null {
  if (manifest === '') return null;
  if (NAME.test(manifest) || path.isAbsolute(manifest)) return manifest;
  throw new FramebusError('OPTION_INVALID', `manifest: "${manifest}" is neither a name nor an absolute path`);
}

const stopping = (): Error => toGrpcError(new FramebusError('SHUTTING_DOWN', 'ModelService: the worker is stopping'));
