import { describe, expect, it } from 'vitest';
import { checkRawLimit } from '../../../services/infer/raw_limit.js';
import { decode, decoderManifest, empty, floats, int64s, misfit } from '../../helpers/decoding.js';

const manifestOf = (decoder: Record<string, unknown> = {}) => decoderManifest({ task: 'raw', decoder: { kind: 'raw', ...decoder } });
const outputs = { a: floats([2, 2, 1], [1, 2, 3, 4]), b: int64s([2], [5, -6]) };

describe('decoder raw', () => {
  it('hands on each frame’s part of every output, typed and shaped', async () => {
    const { tensors } = await decode(manifestOf(), outputs, [], { batch: 2, frame: 1 });
    expect(tensors.map(({ name, type, dims }) => ({ name, type, dims }))).toEqual([
      { name: 'a', type: 'float32', dims: [2, 1] },
      { name: 'b', type: 'int64', dims: [] },
    ]);
    const bytes = tensors.map((tensor) => Buffer.from(tensor.bytes));
    expect([bytes[0]?.readFloatLE(0), bytes[0]?.readFloatLE(4), bytes[0]?.length]).toEqual([3, 4, 8]);
    expect([bytes[1]?.readBigInt64LE(0), bytes[1]?.length]).toEqual([-6n, 8]);
  });

  it('hands on the outputs that are asked for', async () => {
    const { tensors } = await decode(manifestOf({ outputs: ['b'] }), outputs, [], { batch: 2 });
    expect(tensors.map(({ name }) => name)).toEqual(['b']);
    expect(await misfit(manifestOf({ outputs: ['c'] }), outputs, 2)).toBe(
      'model m: decoder raw reads an output "c"; the model has a [2, 2, 1], b int64 [2]',
    );
  });

  it('refuses outputs that have no part for each frame, and too many bytes', async () => {
    expect(await misfit(manifestOf(), { a: empty([100, 7]) }, 1)).toBe(
      'model m: output "a" is [100, 7], decoder raw expects [1, …]: one part a frame',
    );
    expect(await misfit(manifestOf({ max_bytes: 15 }), outputs, 2)).toBe(
      "model m: a frame's tensors take 16 bytes, decoder.max_bytes is 15: a float32 [2, 1], b int64 []",
    );
    expect(await misfit(manifestOf({ max_bytes: 16 }), outputs, 2)).toBeNull();
  });
});

describe('checkRawLimit', () => {
  it('refuses tensors that NATS would not take', () => {
    expect(() => checkRawLimit(manifestOf(), 1 << 20)).not.toThrow();
    expect(() => checkRawLimit(manifestOf({ max_bytes: 1 << 20 }), 1 << 20)).toThrow(
      'model m: decoder.max_bytes is 1048576, NATS takes messages of 1048576 bytes: 1032192 of tensors',
    );
    expect(() => checkRawLimit(manifestOf({ max_bytes: 1032192 }), 1 << 20)).not.toThrow();
  });
});
