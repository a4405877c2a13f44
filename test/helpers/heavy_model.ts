import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { stringify } from 'yaml';
import { OnnxGraph } from '../../models/onnx_graph.js';

const SIDE = 160;
const CHANNELS = 32;
const KERNEL = [3, 3];

/** Weights that neither grow nor shrink what goes through many layers; the same in every run. */
function weights(count: number, fanIn: number): Float32Array {
  const scale = Math.sqrt(6 / fanIn);
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647 - 0.5) * 2 * scale;
  });
}

/**
 * Adds a model to a folder of manifests that classifies pictures by nothing in particular, and
 * takes one thread of this machine about so many milliseconds a picture.
 */
export async function addHeavyModel(folder: string, name: string, frameMs: number): Promise<void> {
  const layers = Math.max(1, Math.round(frameMs / (await layerMs())));
  writeFileSync(path.join(folder, `${name}.onnx`), heavyGraph(name, layers));
  const manifest = {
    ...{ name, licence: 'Apache-2.0', source: { file: `${name}.onnx` }, task: 'classify', batch: 'dynamic' },
    input: {
      ...{ name: 'images', width: SIDE, height: SIDE, layout: 'nchw', resize: 'stretch', color_order: 'rgb' },
      ...{ mean: [0, 0, 0], scale: [1 / 255, 1 / 255, 1 / 255], dtype: 'float32' },
    },
    decoder: { kind: 'classification', output: 'logits', activation: 'softmax' },
    labels: { 0: 'this', 1: 'that' },
    thresholds: { default: 0.01 },
    top_k: 1,
  };
  writeFileSync(path.join(folder, `${name}.yaml`), stringify(manifest));
}

/** What a layer costs on one thread of this machine, at its best. */
async function layerMs(): Promise<number> {
  const layers = 20;
  const session = await InferenceSession.create(heavyGraph('sample', layers), { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const images = new Tensor('float32', new Float32Array(3 * SIDE * SIDE).fill(0.5), [1, 3, SIDE, SIDE]);
  let bestMs = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 8; run++) {
    const startedMs = performance.now();
    await session.run({ images });
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  await session.release();
  return bestMs / layers;
}

/** A stack of convolutions, and the mean of what they make of a picture. */
function heavyGraph(name: string, layers: number): Uint8Array {
  const graph = new OnnxGraph(name);
  const conv = (tensor: string, inputs: number, stride: number): string => {
    const kernel = graph.floats(weights(CHANNELS * inputs * 9, inputs * 9), [CHANNELS, inputs, ...KERNEL]);
    const attributes = { kernel_shape: KERNEL, strides: [stride, stride], pads: [1, 1, 1, 1] };
    return graph.node('Relu', [graph.node('Conv', [tensor, kernel], attributes)]);
  };
  let tensor = conv(graph.input('images', ['N', 3, SIDE, SIDE]), 3, 2);
  for (let layer = 0; layer < layers; layer++) tensor = conv(tensor, CHANNELS, 1);
  const means = graph.node('Reshape', [graph.node('GlobalAveragePool', [tensor]), graph.integers([0, CHANNELS])]);
  const logits = graph.node('MatMul', [means, graph.floats(weights(CHANNELS * 2, CHANNELS), [CHANNELS, 2])]);
  graph.output('logits', logits, ['N', 2]);
  return graph.finish('test');
}
