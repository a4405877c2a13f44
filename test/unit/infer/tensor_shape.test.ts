import { describe, expect, it } from 'vitest';
import { findManifest } from '../../../models/find.js';
import { createDecoder } from '../../../services/infer/create_decoder.js';
import type { OutputTensors } from '../../../services/infer/output_tensor.js';

const outputs = (shapes: Record<string, number[]>): OutputTensors =>
  Object.fromEntries(Object.entries(shapes).map(([name, dims]) => [name, { dims, type: 'float32' as const, data: new Float32Array(0) }]));

describe('what a decoder refuses', () => {
  it('names both shapes', async () => {
    const yolox = await createDecoder(findManifest('yolox-nano-416'));
    expect(() => yolox.check(outputs({ output: [1, 8400, 85] }), 1)).toThrow(
      'model yolox-nano-416: output "output" is [1, 8400, 85], decoder yolox expects [1, 3549, 85]',
    );
    expect(() => yolox.check(outputs({ output: [1, 3549, 85] }), 1)).not.toThrow();
  });

  it('does not take another decoder for its own because the numbers are the same', async () => {
    const base = findManifest('yolox-nano-640');
    const v8 = await createDecoder({ ...base, decoder: { kind: 'yolov8', output: 'output', strides: [8, 16, 32], multiLabel: false } });
    expect(() => v8.check(outputs({ output: [1, 8400, 85] }), 1)).toThrow('is [1, 8400, 85], decoder yolov8 expects [1, 84, 8400]');
    expect(() => v8.check(outputs({ output: [2, 84, 8400] }), 2)).not.toThrow();
  });

  it('wants as many boxes as scores', async () => {
    const ssd = await createDecoder(findManifest('ssdlite-mobilenet-v2'));
    expect(() => ssd.check(outputs({ boxes: [2, 1917, 4], scores: [2, 1917, 90] }), 2)).not.toThrow();
    expect(() => ssd.check(outputs({ boxes: [2, 1917, 4], scores: [2, 1916, 90] }), 2)).toThrow(
      'output "scores" is [2, 1916, 90], decoder ssd expects [2, A, 90], A = 1917',
    );
    expect(() => ssd.check(outputs({ boxes: [2, 1917, 4], scores: [2, 1917, 91] }), 2)).toThrow('expects [2, A, 90]');
  });

  it('names the outputs that there are when one is missing', async () => {
    const ssd = await createDecoder(findManifest('ssdlite-mobilenet-v2'));
    expect(() => ssd.check(outputs({ a: [1, 2], b: [3] }), 1)).toThrow('reads an output "boxes" [1, A, 4]; the model has a [1, 2], b [3]');
  });
});
