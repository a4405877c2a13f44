import { describe, expect, it } from 'vitest';
import { ModelInferRequest, type InferParameter } from '#proto/inference/grpc_service.js';
import type { ModelManifest } from '../../../models/manifest.js';
import { kserveModel, type KserveModel } from '../../../services/infer/kserve_model.js';
import { checkRequest } from '../../../services/infer/kserve_request.js';
import type { TensorModels, TensorSignature } from '../../../services/infer/tensor_inference.js';
import { decoderManifest } from '../../helpers/decoding.js';

const EXTRA = [{ name: 'size', dtype: 'int64', value: 'width_height' }];

function manifestOf(more: Record<string, unknown> = {}): ModelManifest {
  return decoderManifest({ task: 'raw', decoder: { kind: 'raw' }, width: 2, height: 1, more });
}

/** A model that takes pictures of 2 × 1. */
function modelOf(manifest: ModelManifest, more: Partial<TensorSignature> = {}): KserveModel {
  const signature = {
    manifest,
    generation: 3,
    maxBatch: 4,
    engine: 'onnxruntime 1 cpu',
    inputs: [
      { name: 'images', type: 'float32' as const, dims: [-1, 3, -1, -1] },
      ...(manifest.extraInputs.length > 0 ? [{ name: 'size', type: 'int64' as const, dims: [-1, 2] }] : []),
    ],
    outputs: [
      { name: 'boxes', type: 'float32' as const, dims: [-1, 4] },
      { name: 'scores', type: 'float32' as const, dims: [-1, 2] },
    ],
    ...more,
  };
  const models: TensorModels = {
    names: () => ['m'],
    ready: () => true,
    signature: () => signature,
    run: () => Promise.reject(new Error('this test runs nothing')),
  };
  return kserveModel(models, 'm', '');
}

interface Input {
  name?: string;
  datatype?: string;
  shape?: number[];
  parameters?: Record<string, InferParameter>;
  contents?: { fp32Contents?: number[] };
}

function request(inputs: Input[], raw: number[], more: object = {}): ModelInferRequest {
  return ModelInferRequest.fromPartial({
    modelName: 'm',
    inputs: inputs.map(({ name = 'images', datatype = 'FP32', shape = [1, 3, 1, 2], ...rest }) => ({ name, datatype, shape: shape.map(BigInt), ...rest })),
    rawInputContents: raw.map((length) => Buffer.alloc(length)),
    ...more,
  });
}

const refusal = (model: KserveModel, asked: ModelInferRequest): unknown => {
  try {
    checkRequest(model, asked);
  } catch (error) {
    return error;
  }
  return 'it was taken';
};

describe('checkRequest', () => {
  const model = modelOf(manifestOf());

  it.each<[string, ModelInferRequest, string]>([
    ['another name', request([{ name: 'x' }], [24]), 'there is no input "x"; it takes "images"'],
    ['no input', request([], []), 'input "images" is missing'],
    ['an input twice', request([{}, {}], [24, 24]), 'input "images" comes twice'],
    ['another type', request([{ datatype: 'UINT8' }], [24]), 'input "images" comes as UINT8, the model takes FP32'],
    ['texts', request([{ datatype: 'BYTES' }], [24]), 'input "images" comes as BYTES, which no model here takes; this one takes FP32'],
    ['another size', request([{ shape: [1, 3, 5, 2] }], [120]), 'input "images" comes as [1, 3, 5, 2], the model takes [-1, 3, 1, 2]'],
    ['too few dimensions', request([{ shape: [3, 1, 2] }], [24]), 'input "images" comes as [3, 1, 2], the model takes [-1, 3, 1, 2]'],
    ['no picture', request([{ shape: [0, 3, 1, 2] }], [0]), 'input "images" comes as [0, 3, 1, 2], the model takes [-1, 3, 1, 2]'],
    ['a negative length', request([{ shape: [-1, 3, 1, 2] }], [24]), 'input "images" comes as [-1, 3, 1, 2], the model takes [-1, 3, 1, 2]'],
    ['too many pictures', request([{ shape: [5, 3, 1, 2] }], [120]), 'a batch of 5 is larger than 4, the most that infer.batch.size allows'],
    ['too few bytes', request([{}], [23]), 'input "images" has 23 bytes, FP32 [1, 3, 1, 2] needs 24'],
    ['an absurd batch', request([{ shape: [2 ** 53, 3, 1, 2] }], [24]), `input "images" has 24 bytes, FP32 [${2 ** 53}, 3, 1, 2] needs ${2 ** 53 * 24}`],
    ['too few numbers', request([{ contents: { fp32Contents: [1, 2] } }], []), 'input "images" has 2 numbers, FP32 [1, 3, 1, 2] needs 6'],
    ['nothing in it', request([{}], []), 'input "images" has 0 numbers, FP32 [1, 3, 1, 2] needs 6'],
    ['bytes for one too many', request([{}], [24, 24]), '2 raw_input_contents for 1 inputs; every input needs one, in the same order'],
    ['both forms', request([{ contents: { fp32Contents: [1] } }], [24]), 'input "images" has contents beside raw_input_contents; send one of them'],
    ['an unknown output', request([{}], [24], { outputs: [{ name: 'masks' }] }), 'there is no output "masks"; it gives "boxes", "scores"'],
    ['an output twice', request([{}], [24], { outputs: [{ name: 'boxes' }, { name: 'boxes' }] }), 'output "boxes" is asked for twice'],
    [
      'a classification without number',
      request([{}], [24], { outputs: [{ name: 'boxes', parameters: { classification: { stringParam: '3' } } }] }),
      'output "boxes": classification must be an int64_param from 0 up',
    ],
  ])('refuses %s', (_what, asked, message) => {
    expect(refusal(model, asked)).toMatchObject({ code: 'TENSOR_INVALID', message: `model m: ${message}` });
  });

  it('refuses shared memory, in and out', () => {
    const parameters = { shared_memory_region: { stringParam: 'r' } };
    expect(refusal(model, request([{ parameters }], []))).toMatchObject({ code: 'RPC_UNSUPPORTED', message: 'model m: input "images" names shared memory, which is not served' });
    expect(refusal(model, request([{}], [24], { outputs: [{ name: 'boxes', parameters }] }))).toMatchObject({ code: 'RPC_UNSUPPORTED' });
  });

  it('takes what fits, with outputs as they were asked for, or all', () => {
    const all = checkRequest(model, request([{ shape: [4, 3, 1, 2] }], [96], { parameters: { priority: { int64Param: 1n } } }));
    expect(all.inputs.get('images')).toMatchObject({ type: 'float32', dims: [4, 3, 1, 2] });
    expect([all.isRaw, all.outputs.map(({ name }) => name)]).toEqual([true, ['boxes', 'scores']]);
    const contents = { fp32Contents: [1, 2, 3, 4, 5, 6] };
    const one = checkRequest(model, request([{ contents }], [], { outputs: [{ name: 'scores' }, { name: 'boxes' }] }));
    expect([...new Float32Array(one.inputs.get('images')?.bytes.buffer as ArrayBuffer)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([one.isRaw, one.outputs.map(({ name }) => name)]).toEqual([false, ['scores', 'boxes']]);
  });

  it('hands on bytes that have their memory for themselves', () => {
    const asked = request([{}], []);
    asked.rawInputContents = [Buffer.from(new ArrayBuffer(64), 3, 24).fill(7)];
    const { bytes } = checkRequest(model, asked).inputs.get('images') ?? { bytes: new Uint8Array(0) };
    expect([bytes.length, bytes.buffer.byteLength, bytes[23]]).toEqual([24, 24, 7]);
  });

  it('fills in what only the manifest has, for every picture', () => {
    const extra = modelOf(manifestOf({ extra_inputs: EXTRA }));
    const { inputs } = checkRequest(extra, request([{ shape: [2, 3, 1, 2] }], [48]));
    expect(inputs.get('size')).toMatchObject({ type: 'int64', dims: [2, 2] });
    expect([...new BigInt64Array(inputs.get('size')?.bytes.buffer as ArrayBuffer)]).toEqual([2n, 1n, 2n, 1n]);
    const own = checkRequest(extra, request([{}, { name: 'size', datatype: 'INT64', shape: [1, 2] }], [24, 16]));
    expect([...(own.inputs.get('size')?.bytes ?? [1])]).toEqual(Array(16).fill(0));
    expect(refusal(extra, request([{}, { name: 'size', datatype: 'INT64', shape: [2, 2] }], [24, 32]))).toMatchObject({
      message: 'model m: input "size" has a batch of 2, "images" one of 1',
    });
  });

  it('knows the batch of a model that has only one', () => {
    const fixed = modelOf(manifestOf({ batch: 2 }));
    expect(fixed.maxBatch).toBeNull();
    expect(refusal(fixed, request([{}], [24]))).toMatchObject({ message: 'model m: input "images" comes as [1, 3, 1, 2], the model takes [2, 3, 1, 2]' });
    expect(checkRequest(fixed, request([{ shape: [2, 3, 1, 2] }], [48])).inputs.get('images')?.dims).toEqual([2, 3, 1, 2]);
  });
});
