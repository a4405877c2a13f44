import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readTfjsGraph } from '../../../models/tfjs_graph.js';
import { tempFolder } from '../../helpers/temp.js';

interface Weight {
  name: string;
  shape: number[];
  dtype: string;
  quantization?: unknown;
}

/** Writes a model whose weights, 1.5 −2 and 7, are cut in the middle of a number. */
function model(weights: Weight[], bytes = Buffer.from(new Uint8Array([...floats(1.5, -2), ...new Uint8Array(Int32Array.of(7).buffer)]))): string {
  const folder = tempFolder();
  writeFileSync(path.join(folder, 'a.bin'), bytes.subarray(0, 5));
  writeFileSync(path.join(folder, 'b.bin'), bytes.subarray(5));
  const node = {
    name: 'conv',
    op: 'Conv2D',
    input: ['x:0', '^after', 'w'],
    attr: { padding: { s: [83, 65, 77, 69] }, strides: { list: { i: ['1', '2', '2', '1'] } }, epsilon: { f: 0.001 } },
  };
  const file = path.join(folder, 'model.json');
  const text = JSON.stringify({
    modelTopology: { node: [node, { name: 'base64', op: 'Conv2D', attr: { padding: { s: 'VkFMSUQ=' } } }] },
    weightsManifest: [{ paths: ['a.bin', 'b.bin'], weights }],
  });
  writeFileSync(file, text);
  return file;
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const WEIGHTS = [
  { name: 'w', shape: [2, 1], dtype: 'float32' },
  { name: 'n', shape: [], dtype: 'int32' },
];

describe('readTfjsGraph', () => {
  it('reads nodes, attributes, and weights that lie across files', async () => {
    const { nodes, weights } = await readTfjsGraph(model(WEIGHTS));
    const conv = nodes.get('conv');
    expect(conv?.inputs).toEqual(['x', 'after', 'w']);
    expect(conv?.text('padding')).toBe('SAME');
    expect(conv?.integers('strides')).toEqual([1, 2, 2, 1]);
    expect(conv?.float('epsilon')).toBe(0.001);
    expect(nodes.get('base64')?.text('padding')).toBe('VALID');
    expect(weights.get('w')).toEqual({ shape: [2, 1], data: Float32Array.of(1.5, -2) });
    expect(weights.get('n')).toEqual({ shape: [], data: Int32Array.of(7) });
    expect(() => conv?.input(3)).toThrow('node conv (Conv2D) has no input 3');
  });

  it('refuses weights that are not there, left over, or quantized', async () => {
    await expect(readTfjsGraph(model([...WEIGHTS, { name: 'more', shape: [1], dtype: 'float32' }]))).rejects.toThrow('weight more lies beyond the end');
    await expect(readTfjsGraph(model(WEIGHTS.slice(0, 1)))).rejects.toThrow('hold 12 bytes, the manifest says 8');
    await expect(readTfjsGraph(model([{ ...WEIGHTS[0], quantization: { dtype: 'uint8' } } as Weight]))).rejects.toThrow('quantization');
  });
});
