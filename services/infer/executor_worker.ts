import { parentPort, workerData } from 'node:worker_threads';
import { toFramebusError } from '../../lib/errors.js';
import { createEngine } from './create_engine.js';
import { Detector } from './detector.js';
import type { Engine } from './engine.js';
import type { ExecutorData, ExecutorReply, ExecutorRequest } from './executor_protocol.js';

// A thread of its own, because the engine's run() blocks the one that it is called on.

if (parentPort === null) throw new Error('executor_worker runs in a worker thread only');
const port = parentPort;
const data = workerData as ExecutorData;

const reply = (message: ExecutorReply, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

async function load(): Promise<{ detector: Detector; engine: Engine } | null> {
  const { manifest, maxBatch } = data;
  const startedMs = performance.now();
  try {
    const { engine, preprocess, reason } = await createEngine(data);
    const detector = await Detector.create(manifest, engine, preprocess);
    const batchMs = await detector.warmUp(maxBatch);
    const pictures = manifest.batch === 'dynamic' ? maxBatch : manifest.batch;
    const signature = { inputs: [...engine.inputs], outputs: [...engine.outputs], maxBatch: pictures, engine: engine.description };
    reply({ type: 'ready', signature, reason, loadMs: performance.now() - startedMs, batchMs });
    return { detector, engine };
  } catch (error) {
    const { code, message, remedy } = toFramebusError(error);
    reply({ type: 'refused', code, message, remedy });
    return null;
  }
}

async function runBatch(detector: Detector, { id, frames }: Extract<ExecutorRequest, { type: 'batch' }>): Promise<void> {
  try {
    const { rows, findings, times } = await detector.detect(
      frames.map(({ leaseId, width, height, region, filter }) => {
        const thresholds = data.filters[filter];
        if (thresholds === undefined) throw new RangeError(`there is no filter ${filter}`);
        return { leaseId, width, height, region, thresholds: thresholds.reported, weak: thresholds.weak };
      }),
    );
    const tensors = findings.flatMap((one) => one.tensors.map(({ bytes }) => bytes.buffer as ArrayBuffer));
    reply({ type: 'done', id, rows, findings, times }, [...rows.map((row) => row.buffer as ArrayBuffer), ...tensors]);
  } catch (error) {
    const { code, message } = toFramebusError(error);
    reply({ type: 'failed', id, code, message });
  }
}

async function runTensors(engine: Engine, { id, inputs }: Extract<ExecutorRequest, { type: 'tensors' }>): Promise<void> {
  try {
    const outputs = Object.entries(await engine.runTensors(inputs)).map(([name, { type, dims, data }]) => {
      // Copied, because the outputs are the engine's.
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
      return { name, type, dims: [...dims], bytes };
    });
    reply({ type: 'tensors', id, outputs }, outputs.map(({ bytes }) => bytes.buffer));
  } catch (error) {
    const { code, message } = toFramebusError(error);
    reply({ type: 'failed', id, code, message });
  }
}

const loaded = await load();
if (loaded === null) {
  port.close();
} else {
  const { detector, engine } = loaded;
  // One after the other: the next batch waits here while this one runs.
  let last = Promise.resolve();
  port.on('message', (request: ExecutorRequest) => {
    last = last.then(async () => {
      if (request.type === 'batch') return runBatch(detector, request);
      if (request.type === 'tensors') return runTensors(engine, request);
      if (request.type === 'filter') {
        data.filters[request.number] = request.thresholds;
        return;
      }
      await engine.close();
      port.close();
    });
  });
}
