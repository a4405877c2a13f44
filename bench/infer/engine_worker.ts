/**
 * Worker thread of bare_engine.ts: onnxruntime and nothing else, with the session options of the
 * service. It sees the picture that the service sees: what suppression inside a graph costs
 * depends on what is found.
 */
import ort from 'onnxruntime-node';
import { parentPort, workerData } from 'node:worker_threads';
import { LeasedPicture } from '../../cli/model/leased_picture.js';
import { preprocess } from '../../native/index.js';
import type { EngineBlock, EngineLoop } from './bare_engine.js';

if (parentPort === null) throw new Error('engine_worker runs in a worker thread only');
const port = parentPort;
const { file, threads, batch, clip, spec } = workerData as EngineLoop;

const session = await ort.InferenceSession.create(file, {
  executionProviders: ['cpu'],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
});
const [input] = session.inputMetadata;
if (input === undefined || !input.isTensor) throw new Error(`${file}: its first input is no tensor`);
const shape = input.shape.map((length, axis) => (axis === 0 ? batch : Number(length)));
const pixels = new Float32Array(shape.reduce((a, b) => a * b, 1));
const picture = await LeasedPicture.open(clip);
preprocess(Array.from({ length: batch }, () => ({ leaseId: picture.lease.id, region: null })), spec, pixels);
await picture.close();
const feeds = { [input.name]: new ort.Tensor('float32', pixels, shape) };
for (let i = 0; i < 3; i++) await session.run(feeds);
port.postMessage('ready');

port.on('message', ({ seconds }: EngineBlock) => {
  void (async () => {
    const startMs = performance.now();
    let runs = 0;
    let elapsedMs = 0;
    for (; elapsedMs < seconds * 1000; elapsedMs = performance.now() - startMs) {
      await session.run(feeds);
      runs += 1;
    }
    port.postMessage((runs * batch * 1000) / elapsedMs);
  })();
});
