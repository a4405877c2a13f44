import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { OnnxGraph } from '../../../models/onnx_graph.js';

/** Runs a graph with one input "x" in ONNX Runtime, the reader that matters. */
async function run(graph: OnnxGraph, data: number[], dims: number[]): Promise<InferenceSession.OnnxValueMapType> {
  const session = await InferenceSession.create(graph.finish('test'));
  return session.run({ x: new Tensor('float32', Float32Array.from(data), dims) });
}

describe('OnnxGraph', () => {
  it('writes a model that ONNX Runtime runs, with every kind of attribute', async () => {
    const graph = new OnnxGraph('tiny');
    const x = graph.input('x', ['N', 1, 2, 2]);
    // A 1 × 1 convolution: times 3.
    const scaled = graph.node('Conv', [x, graph.floats(Float32Array.of(3), [1, 1, 1, 1])], {
      kernel_shape: [1, 1],
      strides: [1, 1],
      group: 1,
      auto_pad: 'SAME_UPPER',
    });
    const one = graph.floats(Float32Array.of(1), [1]);
    const zero = graph.floats(Float32Array.of(0), [1]);
    const normal = graph.node('BatchNormalization', [scaled, one, zero, zero, one], { epsilon: { float: 3 } });
    const flat = graph.node('Reshape', [normal, graph.integers([0, -1])]);
    graph.output('y', flat, ['N', 4]);

    const { y } = await run(graph, [2, 4, 6, 8, -2, 0, 2, 4], [2, 1, 2, 2]);
    // x · 3 / √(1 + 3).
    expect(y?.dims).toEqual([2, 4]);
    expect([...(y?.data as Float32Array)]).toEqual([3, 6, 9, 12, -3, 0, 3, 6]);
  });

  it('writes names and dimensions that the reader sees, negative integers included', async () => {
    const graph = new OnnxGraph('tiny');
    const x = graph.input('x', ['N', 3]);
    const last = graph.node('Slice', [x, graph.integers([-1]), graph.integers([3]), graph.integers([-1])]);
    graph.output('y', last, ['N', 1]);
    const session = await InferenceSession.create(graph.finish('test'));
    expect(session.inputMetadata).toMatchObject([{ name: 'x', type: 'float32', shape: ['N', 3] }]);
    expect(session.outputMetadata).toMatchObject([{ name: 'y', type: 'float32', shape: ['N', 1] }]);
    const { y } = await run(graph, [1, 2, 3, 4, 5, 6], [2, 3]);
    expect([...(y?.data as Float32Array)]).toEqual([3, 6]);
  });
});
