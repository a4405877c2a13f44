import { describe, expect, it, onTestFinished } from 'vitest';
import { OnnxGraph, type OnnxType } from '../../../models/onnx_graph.js';
import type { ModelManifest } from '../../../models/manifest.js';
import { OnnxEngine } from '../../../services/infer/onnx_engine.js';
import { decoderManifest } from '../../helpers/decoding.js';
import { tempFile } from '../../helpers/temp.js';

interface InputOptions {
  dtype?: OnnxType;
  layout?: 'nchw' | 'nhwc';
  extra?: Record<string, unknown>[];
  batch?: number;
}

/** A model with a picture of 2 × 1. */
function manifestOf({ dtype = 'float32', layout = 'nchw', extra = [], batch }: InputOptions): ModelManifest {
  const input = { name: 'x', width: 2, height: 1, layout, resize: 'stretch', color_order: 'rgb', mean: [0, 0, 0], scale: [1, 1, 1], dtype };
  return decoderManifest({ task: 'raw', decoder: { kind: 'raw' }, more: { input, extra_inputs: extra, ...(batch === undefined ? {} : { batch }) } });
}

async function load(manifest: ModelManifest, graph: OnnxGraph, input: Float32Array): Promise<OnnxEngine> {
  const file = tempFile('m.onnx', graph.finish('test'));
  const engine = await OnnxEngine.load({ manifest, file, threads: 1, input, maxBatch: 2 });
  onTestFinished(() => engine.close());
  return engine;
}

describe('OnnxEngine', () => {
  it('gives further inputs a row for each picture, and returns every type as it is', async () => {
    const extra = [
      { name: 'size', dtype: 'int64', value: 'width_height' },
      { name: 'factor', dtype: 'float32', value: [0.5] },
      { name: 'k', dtype: 'int32', value: 'height_width' },
    ];
    const graph = new OnnxGraph('g');
    const x = graph.input('x', ['N', 3, 1, 2]);
    const size = graph.input('size', ['N', 2], 'int64');
    const factor = graph.input('factor', ['N', 1]);
    const k = graph.input('k', ['N', 2], 'int32');
    graph.output('picture', x, ['N', 3, 1, 2]);
    graph.output('sizes', size, ['N', 2], 'int64');
    graph.output('ks', k, ['N', 2], 'int32');
    graph.output('half', graph.cast(factor, 'float16'), ['N', 1], 'float16');
    graph.output('bytes', graph.cast(size, 'uint8'), ['N', 2], 'uint8');
    const input = Float32Array.from({ length: 12 }, (_, index) => index);
    const engine = await load(manifestOf({ extra }), graph, input);
    const outputs = await engine.run(2);
    expect(outputs['picture']).toEqual({ type: 'float32', dims: [2, 3, 1, 2], data: input });
    expect(outputs['sizes']).toEqual({ type: 'int64', dims: [2, 2], data: BigInt64Array.of(2n, 1n, 2n, 1n) });
    expect(outputs['ks']).toEqual({ type: 'int32', dims: [2, 2], data: Int32Array.of(1, 2, 1, 2) });
    expect(outputs['half']).toEqual({ type: 'float16', dims: [2, 1], data: Uint16Array.of(0x3800, 0x3800) });
    expect(outputs['bytes']).toEqual({ type: 'uint8', dims: [2, 2], data: Uint8Array.of(2, 1, 2, 1) });
    expect((await engine.run(1))['sizes']?.dims).toEqual([1, 2]);
  });

  it('feeds bytes, rounded and cut, to a model that takes them, channels last', async () => {
    const graph = new OnnxGraph('g');
    graph.output('y', graph.input('x', ['N', 1, 2, 3], 'uint8'), ['N', 1, 2, 3], 'uint8');
    const input = Float32Array.of(-3, 0.4, 0.6, 254.7, 300, 7, ...Array<number>(6).fill(9));
    const engine = await load(manifestOf({ dtype: 'uint8', layout: 'nhwc' }), graph, input);
    expect((await engine.run(1))['y']).toEqual({ type: 'uint8', dims: [1, 1, 2, 3], data: Uint8Array.of(0, 0, 1, 255, 255, 7) });
    // The batch tensor is read anew at every run.
    input[5] = 8;
    expect([...((await engine.run(2))['y']?.data as Uint8Array)]).toEqual([0, 0, 1, 255, 255, 8, 9, 9, 9, 9, 9, 9]);
  });

  it('feeds halves to a model that takes them', async () => {
    const graph = new OnnxGraph('g');
    const x = graph.input('x', [1, 3, 1, 2], 'float16');
    graph.output('y', graph.cast(x, 'float32'), [1, 3, 1, 2]);
    const engine = await load(manifestOf({ dtype: 'float16', batch: 1 }), graph, Float32Array.of(1, -2, 1 / 3, 255, 0.1, 0));
    const [y] = [(await engine.run(1))['y']?.data as Float32Array];
    expect([y[0], y[1], y[2], y[3], y[5]]).toEqual([1, -2, 0.333251953125, 255, 0]);
  });

  it('refuses a model that takes something else, with both sides in the message', async () => {
    const graph = new OnnxGraph('g');
    graph.output('y', graph.input('x', ['N', 3, 1, 2]), ['N', 3, 1, 2]);
    const refusal = (options: InputOptions): Promise<unknown> => load(manifestOf(options), graph, new Float32Array(12));
    await expect(refusal({ dtype: 'uint8' })).rejects.toMatchObject({
      code: 'MODEL_SHAPE',
      message: 'model m: input "x" is float32 [N, 3, 1, 2], the manifest says uint8 [N, 3, 1, 2]',
    });
    await expect(refusal({ layout: 'nhwc' })).rejects.toThrow('input "x" is float32 [N, 3, 1, 2], the manifest says float32 [N, 1, 2, 3]');
    await expect(refusal({ extra: [{ name: 'size', dtype: 'int64', value: [1] }] })).rejects.toThrow(
      'model m: the manifest gives 2 inputs "x", "size", the model takes "x"',
    );
    const two = new OnnxGraph('g');
    two.output('y', two.input('x', ['N', 3, 1, 2]), ['N', 3, 1, 2]);
    two.output('z', two.input('size', ['N', 2], 'int64'), ['N', 2], 'int64');
    await expect(load(manifestOf({}), two, new Float32Array(12))).rejects.toThrow('gives one input "x", the model takes "x", "size"');
    const extra = [{ name: 'size', dtype: 'int32', value: 'width_height' }];
    await expect(load(manifestOf({ extra }), two, new Float32Array(12))).rejects.toThrow(
      'input "size" is int64 [N, 2], the manifest says int32 [N, 2]',
    );
  });
});
