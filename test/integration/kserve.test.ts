import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type * as Onnx from 'onnxruntime-node';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decodeResult } from '../../lib/messages.js';
import * as subjects from '../../lib/subjects.js';
import { cacheDirectory } from '../../lib/config/locations.js';
import { ensureModel } from '../../models/fetch.js';
import { findManifest } from '../../models/find.js';
import type { ModelManifest } from '../../models/manifest.js';
import { preprocessPlanes } from '../../native/index.js';
import { preprocessSpec } from '../../services/infer/detector.js';
import { loadOnnxRuntime } from '../../services/infer/onnx_engine.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { ModelInferResponse, ModelMetadataResponse } from '#proto/inference/grpc_service.js';
import { hasTestData, SAMPLE_CLIP, TEST_DATA } from '../helpers/data.js';
import { dataModelFile, dataModels } from '../helpers/data_models.js';
import { eventually } from '../helpers/eventually.js';
import { ask, hasPythonGrpc, infer, kserveClient, rawRequest, runPythonClient, type RawInput } from '../helpers/kserve_client.js';
import { natsClient } from '../helpers/nats.js';
import { readNpy, writeNpy } from '../helpers/npy.js';
import { readPhoto } from '../helpers/photo.js';
import { Pipeline, type PipelineOptions } from '../helpers/pipeline.js';
import { tempFolder } from '../helpers/temp.js';

const PHOTO = path.join(TEST_DATA, 'images/cartucho-map/input/images-optional/2007_000063.jpg');
const SSDLITE = 'ssdlite-mobilenet-v2';
const YOLOX = 'yolox-nano-416';

interface Started {
  pipeline: Pipeline;
  /** Of infer's gRPC. */
  address: string;
  /** Frames that infer has looked at. */
  frames: () => number;
}

/** infer and ingest at work: frames are looked at. */
async function start(options: PipelineOptions): Promise<Started> {
  const pipeline = await Pipeline.create(options);
  let count = 0;
  const results = await natsClient(pipeline.nats.url, 'results');
  results.subscribe(subjects.ALL_RESULTS, {
    callback: (_error, message) => {
      if (decodeResult(message.data).status === InferenceStatus.INFERENCE_STATUS_INFERRED) count++;
    },
  });
  await results.flush();
  await pipeline.run('infer');
  await pipeline.run('ingest');
  await eventually(() => `frames are looked at\n${pipeline.output()}`, () => count > 0, { timeoutMs: 60_000 });
  return { pipeline, address: pipeline.status('infer')?.addresses['grpc'] ?? '', frames: () => count };
}

/** A picture as the network sees it, through the service's own preprocessing. */
async function networkPicture(file: string, { input }: ModelManifest): Promise<Float32Array> {
  const { format, planes } = await readPhoto(file);
  const tensor = new Float32Array(3 * input.width * input.height);
  preprocessPlanes(format, planes, preprocessSpec(input), tensor);
  return tensor;
}

/** The first picture of the sample clip. */
function firstPicture(): string {
  const file = path.join(tempFolder(), 'first.jpg');
  const { stderr } = spawnSync('ffmpeg', ['-v', 'error', '-i', SAMPLE_CLIP, '-frames:v', '1', file]);
  expect(stderr.toString()).toBe('');
  return file;
}

const rawInput = ({ input }: ModelManifest, data: Float32Array): RawInput => ({
  ...{ name: input.name, datatype: 'FP32', data },
  dims: [data.length / (3 * input.width * input.height), 3, input.height, input.width],
});

/** What onnxruntime says of the same tensor, with nothing of the service between. */
async function bareRun(modelFile: string, { name, dims, data }: RawInput): Promise<Map<string, Onnx.Tensor>> {
  const { InferenceSession, Tensor } = await loadOnnxRuntime();
  const session = await InferenceSession.create(modelFile, { executionProviders: ['cpu'], intraOpNumThreads: 1 });
  onTestFinished(() => session.release());
  const outputs = await session.run({ [name]: new Tensor('float32', data as Float32Array, dims) });
  return new Map(Object.entries(outputs));
}

/** The same names, shapes and bits. */
function expectSame(answer: ModelInferResponse, bare: ReadonlyMap<string, Onnx.Tensor>): void {
  expect(answer.outputs.map(({ name }) => name).toSorted()).toEqual([...bare.keys()].toSorted());
  for (const [index, { name, shape }] of answer.outputs.entries()) {
    const tensor = bare.get(name);
    const data = tensor?.data as Float32Array;
    expect(shape, name).toEqual(tensor?.dims.map(BigInt));
    const expected = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    expect(answer.rawOutputContents[index]?.equals(expected), `${name}: the same bits`).toBe(true);
    // Not all the same number, which would be equal all too easily.
    expect(new Set(data).size, name).toBeGreaterThan(100);
  }
}

describe('the open inference protocol of infer', () => {
  it('answers with the bits of onnxruntime, for one picture and for more, while video flows through the same model', async () => {
    const manifest = findManifest(SSDLITE);
    const modelFile = await ensureModel(SSDLITE, { cacheDirectory: cacheDirectory(null, '.', process.env) });
    const { pipeline, address, frames } = await start({
      streams: { gate: { source: SAMPLE_CLIP, loop: true } },
      infer: { executors: 1, batch: { size: 4, max_age: '5ms' } },
    });
    const client = kserveClient(address);
    const metadata = await ask<ModelMetadataResponse>((done) => client.modelMetadata({ name: SSDLITE, version: '' }, done));
    expect(metadata.inputs).toEqual([{ name: 'images', datatype: 'FP32', shape: [-1n, 3n, 300n, 300n] }]);

    const picture = await networkPicture(firstPicture(), manifest);
    const one = rawInput(manifest, picture);
    // The second picture of three is the first one upside down.
    const three = rawInput(manifest, Float32Array.from([...picture, ...picture.toReversed(), ...picture]));
    const bare = [await bareRun(modelFile, one), await bareRun(modelFile, three)];
    const before = frames();
    let rounds = 0;
    // Requests one after the other until frames have had their turn beside them.
    while (rounds < 5 || frames() < before + 10) {
      expectSame(await infer(client, rawRequest(SSDLITE, [one])), bare[0] ?? new Map());
      expectSame(await infer(client, rawRequest(SSDLITE, [three])), bare[1] ?? new Map());
      rounds++;
      expect(rounds, 'frames do not get their turn').toBeLessThan(1_000);
    }
    await expect(infer(client, rawRequest(SSDLITE, [rawInput(manifest, new Float32Array(5 * picture.length))]))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('a batch of 5 is larger than 4') as unknown,
    });
    expect(pipeline.process('infer-0').child.exitCode).toBeNull();
  });

  it('sends requests away when too many wait, and gives frames their turns', async () => {
    const manifest = findManifest(SSDLITE);
    const { address, frames } = await start({
      // More frames than it can look at: there is always one that waits.
      streams: Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => [id, { source: SAMPLE_CLIP, loop: true }])),
      infer: { executors: 1, batch: { size: 1 } },
    });
    const client = kserveClient(address);
    const request = rawRequest(SSDLITE, [rawInput(manifest, await networkPicture(firstPicture(), manifest))]);
    const codes = { ok: 0, full: 0, other: [] as unknown[] };
    let isEnough = false;
    const askOn = async (): Promise<void> => {
      while (!isEnough) {
        try {
          await infer(client, request);
          codes.ok++;
        } catch (error) {
          if ((error as { code: status }).code === status.RESOURCE_EXHAUSTED) codes.full++;
          else codes.other.push(error);
          await sleep(20);
        }
      }
    };
    // One that runs and four that wait, at any time, and three that come again and again.
    const clients = Array.from({ length: 8 }, askOn);
    const proof = async (): Promise<void> => {
      await eventually('some are sent away', () => codes.full > 0 && codes.ok >= 5, { timeoutMs: 60_000 });
      const before = { frames: frames(), ok: codes.ok };
      await eventually('more requests', () => codes.ok >= before.ok + 40, { timeoutMs: 90_000 });
      // One for each request, but for those that just missed their turn.
      expect(frames() - before.frames).toBeGreaterThanOrEqual(20);
    };
    await proof().finally(() => (isEnough = true));
    await Promise.all(clients);
    expect(codes.other).toEqual([]);
  }, 240_000);

  it.skipIf(!hasTestData('models') || !hasTestData(path.relative(TEST_DATA, PHOTO)) || !hasPythonGrpc())(
    'gives a client in Python the bits of onnxruntime for a photo',
    async () => {
      const manifest = findManifest(YOLOX);
      const { address } = await start({
        models: { directory: dataModels() },
        streams: { gate: { source: SAMPLE_CLIP, loop: true, model: YOLOX, labels: ['person'] } },
      });
      const input = rawInput(manifest, await networkPicture(PHOTO, manifest));
      const file = path.join(tempFolder(), 'input.npy');
      writeNpy(file, input.dims, input.data as Float32Array);
      const answer = await runPythonClient(address, YOLOX, file);
      expect(answer).toMatchObject({ live: true, ready: true, platform: 'onnxruntime_onnx', max_batch_size: 0, inputs: [['images', 'FP32', [1, 3, 416, 416]]] });
      expect(answer.labels['0']).toBe('person');
      const bare = await bareRun(dataModelFile(YOLOX) ?? '', input);
      for (const [name, datatype, dims] of answer.outputs) {
        const tensor = bare.get(name);
        expect([datatype, dims], name).toEqual(['FP32', tensor?.dims]);
        const data = tensor?.data as Float32Array;
        expect(readNpy(path.join(path.dirname(file), `${name}.npy`)).equals(Buffer.from(data.buffer, data.byteOffset, data.byteLength)), name).toBe(true);
      }
      expect(answer.outputs.map(([name]) => name)).toEqual([...bare.keys()]);
    },
  );
});
