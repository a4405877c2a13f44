import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, ServiceDefinition, UntypedHandleCall } from '@grpc/grpc-js';
import { FramebusError } from '../../lib/errors.js';
import { toGrpcError } from '../../lib/rpc.js';

/** The only one that is not a request and an answer. */
const STREAM = 'ModelStreamInfer';

/** Methods of Triton's service that are not here, and what to do instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  [STREAM]: 'Call ModelInfer once for every request.',
  ModelStatistics: 'Read the metrics that infer serves at /metrics of infer.http.',
  RepositoryModelLoad: 'Call Load or Swap of framebus.model.v1.ModelService, on the same port.',
  RepositoryModelUnload: 'Call Unload of framebus.model.v1.ModelService, on the same port.',
  SystemSharedMemoryStatus: 'Send tensors in raw_input_contents.',
  SystemSharedMemoryRegister: 'Send tensors in raw_input_contents.',
  SystemSharedMemoryUnregister: 'Send tensors in raw_input_contents.',
  CudaSharedMemoryStatus: 'Send tensors in raw_input_contents.',
  CudaSharedMemoryRegister: 'Send tensors in raw_input_contents.',
  CudaSharedMemoryUnregister: 'Send tensors in raw_input_contents.',
  TraceSetting: 'Set log.level in the configuration.',
  LogSettings: 'Set log.level in the configuration.',
};

const asItIs = (bytes: Buffer): Buffer => bytes;

/** Their definition: no message of theirs is read. */
export const UNSUPPORTED_METHODS: ServiceDefinition = Object.fromEntries(
  Object.keys(INSTEAD).map((name) => [
    name,
    {
      path: `/inference.GRPCInferenceService/${name}`,
      requestStream: name === STREAM,
      responseStream: name === STREAM,
      requestSerialize: asItIs,
      requestDeserialize: asItIs,
      responseSerialize: asItIs,
      responseDeserialize: asItIs,
    },
  ]),
);

/** Every one of them answers UNIMPLEMENTED and says what to do instead. */
export const unsupportedHandlers: Readonly<Record<string, UntypedHandleCall>> = Object.fromEntries(
  Object.entries(INSTEAD).map(([name, remedy]): [string, UntypedHandleCall] => {
    const error = toGrpcError(new FramebusError('RPC_UNSUPPORTED', `${name}: framebus does not have it`, { remedy }));
    if (name === STREAM) return [name, (call: ServerDuplexStream<Buffer, Buffer>) => void call.emit('error', error)];
    return [name, (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(error)];
  }),
);
