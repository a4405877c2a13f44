import { once } from 'node:events';
import path from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RpcServer } from '../../lib/rpc.js';
import { OnnxGraph, type OnnxType } from '../../models/onnx_graph.js';
import type { ModelManifest } from '../../models/manifest.js';
import { KserveService, KSERVE_MAX_REQUEST_BYTES } from '../../services/infer/kserve_service.js';
import { DataType, ModelInput_Format } from '#proto/inference/model_config.js';
import {
  ModelInferRequest,
  type GRPCInferenceServiceClient,
  type ModelConfigResponse,
  type ModelReadyResponse,
  type RepositoryIndexResponse,
} from '#proto/inference/grpc_service.js';
import { decoderManifest } from '../helpers/decoding.js';
import { eventually } from '../helpers/eventually.js';
import { ask, hasPythonGrpc, infer, kserveClient, openInfer, rawRequest, runPythonClient, type RawInput } from '../helpers/kserve_client.js';
import { readNpy, writeNpy } from '../helpers/npy.js';
import { tempFolder } from '../helpers/temp.js';
import { OnnxTensorModels } from '../helpers/tensor_models.js';

const LABELS = { 0: 'red', 1: 'green', 2: 'blue' };

/** A server with these models, and a client of it. */
async function start(models: OnnxTensorModels): Promise<{ client: GRPCInferenceServiceClient; service: KserveService; address: string }> {
  const server = new RpcServer({ host: '127.0.0.1', port: 0, key: 'infer.grpc' }, { maxRequestBytes: KSERVE_MAX_REQUEST_BYTES });
  const service = new KserveService(models);
  server.add(service.definition, service.handlers);
  const address = `127.0.0.1:${await server.listen()}`;
  onTestFinished(() => server.close(0));
  return { client: kserveClient(address), service, address };
}

function manifestOf(width: number, height: number, more: Record<string, unknown> = {}): ModelManifest {
  const decoder = { kind: 'classification', output: 'mean', activation: 'none' };
  return decoderManifest({ task: 'classify', decoder, labels: LABELS, width, height, more });
}

/** Gives back the mean of every channel, and the picture doubled. */
function meanGraph(): OnnxGraph {
  const graph = new OnnxGraph('g');
  const images = graph.input('images', ['N', 3, 'H', 'W']);
  const pooled = graph.node('GlobalAveragePool', [images]);
  graph.output('mean', graph.node('Reshape', [pooled, graph.integers([0, 3])]), ['N', 3]);
  graph.output('doubled', graph.node('Add', [images, images]), ['N', 3, 'H', 'W']);
  return graph;
}

async function meanModel(width = 2, height = 1): Promise<OnnxTensorModels> {
  const models = new OnnxTensorModels();
  await models.add('colours', manifestOf(width, height), meanGraph(), 4);
  return models;
}

const picture = (...values: number[]): RawInput => ({ name: 'images', datatype: 'FP32', dims: [values.length / 6, 3, 1, 2], data: Float32Array.from(values) });
const PICTURE = picture(1, 3, 10, 20, -1, 1);
const floats = (bytes: Uint8Array | undefined): number[] => [...new Float32Array(Uint8Array.from(bytes ?? []).buffer)];

describe('a worker and its models', () => {
  it('say who they are and whether they are ready', async () => {
    const models = await meanModel();
    const { client } = await start(models);
    expect(await ask((done) => client.serverLive({}, done))).toEqual({ live: true });
    expect(await ask((done) => client.serverReady({}, done))).toEqual({ ready: true });
    expect(await ask((done) => client.serverMetadata({}, done))).toMatchObject({ name: 'framebus', version: expect.stringMatching(/^\d+\./) as unknown, extensions: ['classification', 'model_configuration'] });
    models.addLoading('later');
    expect(await ask((done) => client.serverReady({}, done))).toEqual({ ready: false });
    const ready = async (name: string, version = ''): Promise<boolean> => (await ask<ModelReadyResponse>((done) => client.modelReady({ name, version }, done))).ready;
    expect([await ready('colours'), await ready('colours', '1'), await ready('colours', '2'), await ready('later'), await ready('none')]).toEqual([true, true, false, false, false]);
    const index = { repositoryName: '', ready: false };
    expect((await ask<RepositoryIndexResponse>((done) => client.repositoryIndex(index, done))).models).toEqual([
      { name: 'colours', version: '1', state: 'READY', reason: '' },
      { name: 'later', version: '', state: 'UNAVAILABLE', reason: 'model later: it is being loaded' },
    ]);
    expect((await ask<RepositoryIndexResponse>((done) => client.repositoryIndex({ ...index, ready: true }, done))).models).toHaveLength(1);
  });

  it('show inputs, outputs, labels and how a picture becomes an input', async () => {
    const { client } = await start(await meanModel());
    const asked = { name: 'colours', version: '' };
    expect(await ask((done) => client.modelMetadata(asked, done))).toEqual({
      name: 'colours',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'images', datatype: 'FP32', shape: [-1n, 3n, 1n, 2n] }],
      outputs: [
        { name: 'mean', datatype: 'FP32', shape: [-1n, 3n] },
        { name: 'doubled', datatype: 'FP32', shape: [-1n, 3n, -1n, -1n] },
      ],
    });
    const { config } = await ask<ModelConfigResponse>((done) => client.modelConfig(asked, done));
    expect(config).toMatchObject({
      ...{ name: 'colours', platform: 'onnxruntime_onnx', backend: 'onnxruntime', maxBatchSize: 4 },
      input: [{ name: 'images', dataType: DataType.TYPE_FP32, format: ModelInput_Format.FORMAT_NCHW, dims: [3n, 1n, 2n], optional: false }],
      output: [{ name: 'mean', dims: [3n] }, { name: 'doubled', dims: [3n, -1n, -1n] }],
    });
    const facts = Object.fromEntries(Object.entries(config?.parameters ?? {}).map(([key, { stringValue }]) => [key, stringValue]));
    expect(facts).toEqual({
      ...{ manifest: 'm', task: 'classify', licence: 'MIT', labels: JSON.stringify(LABELS) },
      ...{ resize: 'stretch', anchor: 'center', pad: '114', color_order: 'rgb', mean: '[0,0,0]', scale: '[1,1,1]' },
    });
    const { client: other } = await start(new OnnxTensorModels());
    await expect(ask((done) => other.modelMetadata(asked, done))).rejects.toMatchObject({ code: status.NOT_FOUND });
  });
});

describe('ModelInfer', () => {
  it('answers bytes with bytes, all outputs or those asked for', async () => {
    const { client } = await start(await meanModel());
    const all = await infer(client, rawRequest('colours', [PICTURE], { id: 'seven', parameters: { priority: { uint64Param: 1n } } }));
    expect(all).toMatchObject({ modelName: 'colours', modelVersion: '1', id: 'seven' });
    expect(all.outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ['mean', 'FP32', [1n, 3n]],
      ['doubled', 'FP32', [1n, 3n, 1n, 2n]],
    ]);
    expect(all.rawOutputContents.map(floats)).toEqual([[2, 15, 0], [2, 6, 20, 40, -2, 2]]);
    const two = picture(1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6);
    const one = await infer(client, rawRequest('colours', [two], { modelVersion: '1', outputs: [{ name: 'mean', parameters: {} }] }));
    expect(one.rawOutputContents.map(floats)).toEqual([[1, 2, 3, 4, 5, 6]]);
    expect(one.outputs[0]?.shape).toEqual([2n, 3n]);
  });

  it('answers numbers with numbers', async () => {
    const { client } = await start(await meanModel());
    const contents = { fp32Contents: [1, 3, 10, 20, -1, 1] };
    const inputs = [{ name: 'images', datatype: 'FP32', shape: [1n, 3n, 1n, 2n], contents }];
    const answer = await infer(client, ModelInferRequest.fromPartial({ modelName: 'colours', inputs }));
    expect(answer.rawOutputContents).toEqual([]);
    expect(answer.outputs.map((output) => output.contents?.fp32Contents)).toEqual([[2, 15, 0], [2, 6, 20, 40, -2, 2]]);
  });

  it('says the best classes when it is asked to, as Triton does', async () => {
    const { client } = await start(await meanModel());
    const outputs = [{ name: 'mean', parameters: { classification: { int64Param: 2n } } }];
    const { outputs: [output], rawOutputContents: [raw] } = await infer(client, rawRequest('colours', [PICTURE], { outputs }));
    expect(output).toMatchObject({ datatype: 'BYTES', shape: [1n, 2n] });
    const [first, second] = ['15.000000:1:green', '2.000000:0:red'];
    expect(raw?.toString('latin1')).toBe(`\x11\0\0\0${first}\x0e\0\0\0${second}`);
  });

  it('carries every type of number', async () => {
    const graph = new OnnxGraph('g');
    graph.output('y', graph.input('images', ['N', 3, 1, 2]), ['N', 3, 1, 2]);
    const tensors: [OnnxType, string, ArrayBufferView][] = [
      ['float32', 'FP32', Float32Array.of(-1.5)],
      ['float64', 'FP64', Float64Array.of(Math.PI)],
      ['float16', 'FP16', Uint16Array.of(0x3c01)],
      ['int8', 'INT8', Int8Array.of(-128)],
      ['uint8', 'UINT8', Uint8Array.of(255)],
      ['int16', 'INT16', Int16Array.of(-32768)],
      ['uint16', 'UINT16', Uint16Array.of(65535)],
      ['int32', 'INT32', Int32Array.of(-(2 ** 31))],
      ['uint32', 'UINT32', Uint32Array.of(2 ** 32 - 1)],
      ['int64', 'INT64', BigInt64Array.of(-(2n ** 62n) - 1n)],
      ['uint64', 'UINT64', BigUint64Array.of(2n ** 64n - 1n)],
      ['bool', 'BOOL', Uint8Array.of(1)],
    ];
    for (const [type] of tensors) graph.output(`${type}_out`, graph.input(type, ['N', 1], type), ['N', 1], type);
    const models = new OnnxTensorModels();
    await models.add('types', manifestOf(2, 1), graph, 1);
    const { client } = await start(models);
    const inputs = tensors.map(([name, datatype, data]): RawInput => ({ name, datatype, dims: [1, 1], data }));
    const answer = await infer(client, rawRequest('types', [PICTURE, ...inputs]));
    for (const [name, datatype, data] of tensors) {
      const index = answer.outputs.findIndex((output) => output.name === `${name}_out`);
      expect(answer.outputs[index], name).toMatchObject({ datatype, shape: [1n, 1n] });
      expect(answer.rawOutputContents[index]?.toString('hex'), name).toBe(Buffer.from(data.buffer).toString('hex'));
    }
  });

  it('sends halves as bytes, with all others, even to who sends numbers', async () => {
    const graph = new OnnxGraph('g');
    const images = graph.input('images', ['N', 3, 1, 2]);
    graph.output('half', graph.cast(images, 'float16'), ['N', 3, 1, 2], 'float16');
    graph.output('whole', images, ['N', 3, 1, 2]);
    const models = new OnnxTensorModels();
    await models.add('halves', manifestOf(2, 1), graph, 1);
    const { client } = await start(models);
    const inputs = [{ name: 'images', datatype: 'FP32', shape: [1n, 3n, 1n, 2n], contents: { fp32Contents: [1, 2, 0, 0, 0, 0] } }];
    const answer = await infer(client, ModelInferRequest.fromPartial({ modelName: 'halves', inputs }));
    expect(answer.outputs.map(({ datatype, contents }) => [datatype, contents])).toEqual([['FP16', undefined], ['FP32', undefined]]);
    expect(answer.rawOutputContents.map(({ length }) => length)).toEqual([12, 24]);
    expect(answer.rawOutputContents[0]?.readUInt16LE(0)).toBe(0x3c00);
  });

  it('takes four pictures of 640×640, and nothing over the limit', async () => {
    const { client } = await start(await meanModel(640, 640));
    const data = Float32Array.from({ length: 4 * 3 * 640 * 640 }, (_, index) => index % 251);
    const image = { name: 'images', datatype: 'FP32', dims: [4, 3, 640, 640], data };
    const answer = await infer(client, rawRequest('colours', [image]));
    expect(answer.outputs.map(({ shape }) => shape)).toEqual([[4n, 3n], [4n, 3n, 640n, 640n]]);
    const doubled = new Float32Array(Uint8Array.from(answer.rawOutputContents[1] ?? []).buffer);
    expect([doubled.length, doubled[0], doubled[250], doubled.at(-1)]).toEqual([data.length, 0, 500, 2 * (data.at(-1) ?? 0)]);
    const tooLarge = { ...image, data: new Uint8Array(KSERVE_MAX_REQUEST_BYTES) };
    await expect(infer(client, rawRequest('colours', [tooLarge]))).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  it('refuses with status, object, cause and remedy, and asks no engine', async () => {
    const models = await meanModel();
    models.addLoading('later');
    const { client } = await start(models);
    const refusal = (request: ModelInferRequest): Promise<unknown> => infer(client, request).then(() => 'it was taken', (error: unknown) => error);
    expect(await refusal(rawRequest('colours', [{ ...PICTURE, dims: [1, 3, 2, 1] }]))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'model colours: input "images" comes as [1, 3, 2, 1], the model takes [-1, 3, 1, 2]. Send what ModelMetadata shows of the model.',
    });
    expect(await refusal(rawRequest('nobody', [PICTURE]))).toMatchObject({ code: status.NOT_FOUND });
    expect(await refusal(rawRequest('later', [PICTURE]))).toMatchObject({ code: status.UNAVAILABLE });
    expect(await refusal(rawRequest('colours', [PICTURE], { modelVersion: '9' }))).toMatchObject({
      code: status.NOT_FOUND,
      details: 'model colours: version "9" is not served, 1 is. Leave the version empty for the one that is served.',
    });
    const shared = { ...rawRequest('colours', [PICTURE]) };
    shared.inputs = shared.inputs.map((input) => ({ ...input, parameters: { shared_memory_region: { stringParam: 'r' } } }));
    expect(await refusal(shared)).toMatchObject({ code: status.UNIMPLEMENTED });
    expect(models.runs).toEqual([]);
  });
});

describe('a request that runs', () => {
  it('hears the signal when its deadline passes, or it is cancelled', async () => {
    const models = await meanModel();
    let aborted = false;
    models.gate = async (signal) => {
      await once(signal, 'abort');
      aborted = true;
      throw new Error('given up');
    };
    const { client } = await start(models);
    const running = openInfer(client, rawRequest('colours', [PICTURE]), 1_000);
    await expect(running.answer).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await eventually('the engine has heard of it', () => aborted);
    aborted = false;
    const cancelled = openInfer(client, rawRequest('colours', [PICTURE]));
    await eventually('it runs', () => models.runs.length === 2);
    cancelled.cancel();
    await expect(cancelled.answer).rejects.toMatchObject({ code: status.CANCELLED });
    await eventually('the engine has heard of that', () => aborted);
    models.gate = () => Promise.resolve();
    expect((await infer(client, rawRequest('colours', [PICTURE]))).outputs).toHaveLength(2);
  });

  it('runs once more when another generation has taken over meanwhile', async () => {
    const models = await meanModel();
    let open = (): void => undefined;
    models.gate = () => new Promise((resolve) => (open = resolve));
    const { client } = await start(models);
    const any = openInfer(client, rawRequest('colours', [PICTURE]));
    await eventually('it runs', () => models.runs.length === 1);
    const openFirst = open;
    const exact = infer(client, rawRequest('colours', [PICTURE], { modelVersion: '1' })).catch((error: unknown) => error);
    await eventually('both run', () => models.runs.length === 2);
    const openSecond = open;
    models.gate = () => Promise.resolve();
    // It gives the mean only.
    const graph = new OnnxGraph('g');
    graph.output('mean', graph.node('GlobalAveragePool', [graph.input('images', ['N', 3, 1, 2])]), ['N', 3, 1, 1]);
    await models.add('colours', manifestOf(2, 1), graph, 4);
    openFirst();
    openSecond();
    const { modelVersion, outputs } = await any.answer;
    expect([modelVersion, outputs.map(({ name, shape }) => [name, shape])]).toEqual(['2', [['mean', [1n, 3n, 1n, 1n]]]]);
    expect(await exact).toMatchObject({ code: status.NOT_FOUND });
    expect(models.runs).toHaveLength(3);
  });
});

describe("what is Triton's and not here", () => {
  it.each([
    ['ModelStatistics', 'Read the metrics that infer serves at /metrics of infer.http.'],
    ['RepositoryModelLoad', 'Call Load or Swap of framebus.model.v1.ModelService, on the same port.'],
    ['SystemSharedMemoryStatus', 'Send tensors in raw_input_contents.'],
  ])('%s says so and what to do instead', async (method, instead) => {
    const { client } = await start(new OnnxTensorModels());
    const bytes = (buffer: Buffer): Buffer => buffer;
    const path_ = `/inference.GRPCInferenceService/${method}`;
    const answer = ask((done) => client.makeUnaryRequest(path_, bytes, bytes, Buffer.of(10, 1, 97), done));
    await expect(answer).rejects.toMatchObject({ code: status.UNIMPLEMENTED, details: `${method}: framebus does not have it. ${instead}` });
  });

  it('a stream of requests says so too', async () => {
    const { client } = await start(new OnnxTensorModels());
    const bytes = (buffer: Buffer): Buffer => buffer;
    const stream = client.makeBidiStreamRequest('/inference.GRPCInferenceService/ModelStreamInfer', bytes, bytes);
    const error = await new Promise((resolve) => stream.on('error', resolve).on('data', resolve));
    expect(error).toMatchObject({ code: status.UNIMPLEMENTED, details: 'ModelStreamInfer: framebus does not have it. Call ModelInfer once for every request.' });
  });
});

describe('a client in Python', () => {
  it.skipIf(!hasPythonGrpc())('sends and gets numpy arrays', async () => {
    const { address } = await start(await meanModel());
    const folder = tempFolder();
    writeNpy(path.join(folder, 'input.npy'), [1, 3, 1, 2], Float32Array.of(1, 3, 10, 20, -1, 1));
    const answer = await runPythonClient(address, 'colours', path.join(folder, 'input.npy'), ['mean', 'doubled']);
    expect(answer).toEqual({
      ...{ live: true, ready: true, platform: 'onnxruntime_onnx', id: 'python', max_batch_size: 4, labels: LABELS },
      inputs: [['images', 'FP32', [-1, 3, 1, 2]]],
      outputs: [['mean', 'FP32', [1, 3]], ['doubled', 'FP32', [1, 3, 1, 2]]],
      refused: ['INVALID_ARGUMENT', 'model colours: input "images" comes as [1, 2], the model takes [-1, 3, 1, 2]. Send what ModelMetadata shows of the model.'],
    });
    expect(floats(readNpy(path.join(folder, 'mean.npy')))).toEqual([2, 15, 0]);
    expect(floats(readNpy(path.join(folder, 'doubled.npy')))).toEqual([2, 6, 20, 40, -2, 2]);
  });
});
