import { describe, expect, it, onTestFinished } from 'vitest';
import { OnnxGraph } from '../../../models/onnx_graph.js';
import { Detector, type DetectorFrame } from '../../../services/infer/detector.js';
import { toHalf } from '../../../services/infer/half_float.js';
import { OnnxEngine } from '../../../services/infer/onnx_engine.js';
import type { OutputTensors } from '../../../services/infer/output_tensor.js';
import { decoderManifest, empty } from '../../helpers/decoding.js';
import { tempFile } from '../../helpers/temp.js';

const engineOf = (outputs: OutputTensors) => ({ description: '', run: () => Promise.resolve(outputs), close: () => Promise.resolve() });

/** A frame of 320 × 160: ten times the network's picture. */
const geometry = { scaleX: 0.1, scaleY: 0.1, offsetX: 0, offsetY: 0 };
const frameOf = (...thresholds: number[]): DetectorFrame => ({ leaseId: 1, region: null, width: 320, height: 160, thresholds: Float64Array.from(thresholds) });

describe('Detector', () => {
  it('decodes outputs of float16', async () => {
    const data = new Uint16Array(6);
    toHalf(Float32Array.of(1, 2, 3, 4, 0.75, 0), data);
    const manifest = decoderManifest({ decoder: { kind: 'yolo-e2e', output: 'o' }, labels: { 0: 'cat' } });
    const engine = engineOf({ o: { type: 'float16', dims: [1, 1, 6], data } });
    const detector = await Detector.create(manifest, engine, () => [geometry]);
    await detector.warmUp(1);
    const { rows } = await detector.detect([frameOf(0.5)]);
    expect([...(rows[0] ?? [])]).toEqual([10, 20, 20, 20, 0.75, 0]);
  });

  it('keeps boxes for the tracker apart, where it wants some', async () => {
    const data = Float32Array.of(1, 2, 3, 4, 0.75, 0, 11, 2, 13, 4, 0.25, 0, 21, 2, 23, 4, 0.05, 0);
    const manifest = decoderManifest({ decoder: { kind: 'yolo-e2e', output: 'o' }, labels: { 0: 'cat' } });
    const detector = await Detector.create(manifest, engineOf({ o: { type: 'float32', dims: [1, 3, 6], data } }), () => [geometry, geometry]);
    const { rows, findings } = await detector.detect([{ ...frameOf(0.5), weak: Float64Array.of(0.1) }]);
    expect([...(rows[0] ?? [])]).toEqual([10, 20, 20, 20, 0.75, 0]);
    expect([...(findings[0]?.weak.rows ?? [])]).toEqual([110, 20, 20, 20, 0.25, 0]);
    const without = await detector.detect([frameOf(0.5)]);
    expect([without.rows[0]?.length, without.findings[0]?.weak.rows.length]).toEqual([6, 0]);
  });

  it('hands float16 on as it is', async () => {
    const manifest = decoderManifest({ task: 'raw', decoder: { kind: 'raw' } });
    const engine = engineOf({ o: { type: 'float16', dims: [1, 2], data: Uint16Array.of(0x3c00, 0x4000) } });
    const detector = await Detector.create(manifest, engine, () => [geometry]);
    const { findings } = await detector.detect([frameOf()]);
    expect(findings[0]?.tensors).toEqual([{ name: 'o', type: 'float16', dims: [2], bytes: Uint8Array.of(0, 0x3c, 0, 0x40) }]);
  });

  it('refuses outputs that do not fit for any size of a batch', async () => {
    const manifest = decoderManifest({ decoder: { kind: 'yolo-e2e', output: 'o' }, labels: { 0: 'cat' } });
    const detector = await Detector.create(manifest, engineOf({ o: empty([1, 0, 6]) }), () => []);
    await expect(detector.warmUp(1)).resolves.toBeInstanceOf(Map);
    await expect(detector.warmUp(2)).rejects.toMatchObject({ code: 'MODEL_SHAPE', message: expect.stringContaining('expects [2, K, 6]') as string });
  });

  it('runs an RT-DETR as deployed, whose graph scales to the size that it is given', async () => {
    // One query: the left half of the picture; label and score are constants of the graph.
    const graph = new OnnxGraph('rtdetr');
    graph.output('seen', graph.node('GlobalAveragePool', [graph.input('images', [1, 3, 16, 32])]), [1, 3, 1, 1]);
    const sizes = graph.cast(graph.input('orig_target_sizes', [1, 2], 'int64'), 'float32');
    const corners = graph.node('Concat', [sizes, sizes], { axis: 1 });
    const unit = graph.floats(Float32Array.of(0, 0, 0.5, 1), [1, 1, 4]);
    graph.output('boxes', graph.node('Mul', [unit, graph.node('Reshape', [corners, graph.integers([1, 1, 4])])]), [1, 1, 4]);
    graph.output('labels', graph.cast(graph.floats(Float32Array.of(2), [1, 1]), 'int64'), [1, 1], 'int64');
    graph.output('scores', graph.floats(Float32Array.of(0.75), [1, 1]), [1, 1]);
    const extra = { name: 'orig_target_sizes', dtype: 'int64', value: 'width_height' };
    const manifest = decoderManifest({ decoder: { kind: 'rtdetr' }, labels: { 2: 'dog' }, more: { extra_inputs: [extra], batch: 1 } });
    const input = new Float32Array(3 * 16 * 32);
    const engine = await OnnxEngine.load({ manifest, file: tempFile('m.onnx', graph.finish('test')), threads: 1, input, maxBatch: 1 });
    onTestFinished(() => engine.close());
    const detector = await Detector.create(manifest, engine, () => [geometry]);
    await detector.warmUp(1);
    const { rows } = await detector.detect([frameOf(Infinity, Infinity, 0.5)]);
    expect([...(rows[0] ?? [])]).toEqual([0, 0, 160, 160, 0.75, 2]);
  });
});
