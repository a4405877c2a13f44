import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { sendUnaryData, ServerUnaryCall, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { callSignal } from '../../lib/call_signal.js';
import { toGrpcError } from '../../lib/rpc.js';
import { PACKAGE_ROOT } from '../../lib/package_root.js';
import {
  GRPCInferenceServiceService,
  type GRPCInferenceServiceServer,
  type ModelInferRequest,
  type ModelInferResponse,
  type RepositoryIndexResponse,
  type ServerMetadataResponse,
} from '#proto/inference/grpc_service.js';
import { messageOf } from '../../lib/errors.js';
import { configOf, kserveModel, metadataOf } from './kserve_model.js';
import { checkRequest } from './kserve_request.js';
import { inferResponse } from './kserve_response.js';
import { unsupportedHandlers, UNSUPPORTED_METHODS } from './kserve_unsupported.js';
import type { TensorModels } from './tensor_inference.js';

/** For the server that serves it: three pictures of 1280×1280 in FP32 fit, with room to spare. */
export const KSERVE_MAX_REQUEST_BYTES = 64 * 1024 * 1024;

/** Triton's names for what is here beyond the protocol's core. */
const EXTENSIONS = ['classification', 'model_configuration'];

/** Serves the models of a worker to clients of KServe and Triton. */
export class KserveService {
  readonly #models: TensorModels;
  readonly #version = version();

  constructor(models: TensorModels) {
    this.#models = models;
  }

  /** The protocol's methods, and those of Triton's that are refused with words. */
  readonly definition: ServiceDefinition = { ...UNSUPPORTED_METHODS, ...GRPCInferenceServiceService };

  get handlers(): UntypedServiceImplementation {
    const handlers: GRPCInferenceServiceServer = {
      serverLive: answering(() => ({ live: true })),
      serverReady: answering(() => ({ ready: this.#models.names().every((name) => this.#models.ready(name)) })),
      modelReady: answering(({ name, version: asked }) => ({ ready: this.#isReady(name, asked) })),
      serverMetadata: answering((): ServerMetadataResponse => ({ name: 'framebus', version: this.#version, extensions: EXTENSIONS })),
      modelMetadata: answering(({ name, version: asked }) => metadataOf(kserveModel(this.#models, name, asked))),
      modelConfig: answering(({ name, version: asked }) => ({ config: configOf(kserveModel(this.#models, name, asked)) })),
      repositoryIndex: answering(({ ready }) => this.#index(ready)),
      modelInfer: (call, done) => {
        this.#infer(call).then(
          (response) => done(null, response),
          (error: unknown) => done(toGrpcError(error)),
        );
      },
    };
    return { ...unsupportedHandlers, ...handlers };
  }

  async #infer(call: ServerUnaryCall<ModelInferRequest, ModelInferResponse>): Promise<ModelInferResponse> {
    const { modelName, modelVersion, id } = call.request;
    const gone = callSignal(call);
    for (;;) {
      const model = kserveModel(this.#models, modelName, modelVersion);
      const request = checkRequest(model, call.request);
      const [result] = await Promise.allSettled([this.#models.run(modelName, request.inputs, gone)]);
      // Another generation has taken over while it waited, and nobody knows which one ran: once more, on that one.
      const isSwapped = !gone.aborted && kserveModel(this.#models, modelName, modelVersion).version !== model.version;
      if (isSwapped) continue;
      if (result.status === 'rejected') throw result.reason;
      return inferResponse(model, id, request, result.value);
    }
  }

  #isReady(name: string, asked: string): boolean {
    if (!this.#models.ready(name)) return false;
    return asked === '' || asked === String(this.#models.signature(name).generation);
  }

  #index(onlyReady: boolean): RepositoryIndexResponse {
    const all = this.#models.names().toSorted();
    const names = onlyReady ? all.filter((name) => this.#models.ready(name)) : all;
    return { models: names.map((name) => this.#entry(name)) };
  }

  #entry(name: string): RepositoryIndexResponse['models'][number] {
    try {
      const { generation } = this.#models.signature(name);
      return { name, version: String(generation), state: this.#models.ready(name) ? 'READY' : 'UNAVAILABLE', reason: '' };
    } catch (error) {
      return { name, version: '', state: 'UNAVAILABLE', reason: messageOf(error) };
    }
  }
}

/** A handler that has its answer at once. */
function answering<Request, Response>(answer: (request: Request) => Response) {
  return (call: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
    let response: Response;
    try {
      response = answer(call.request);
    } catch (error) {
      return done(toGrpcError(error));
    }
    done(null, response);
  };
}

function version(): string {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
