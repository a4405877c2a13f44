import { describe, expect, it } from 'vitest';
import { bytesOfContents, contentsOfBytes, hasContents, NO_CONTENTS } from '../../../services/infer/kserve_contents.js';
import type { TensorType } from '../../../services/infer/output_tensor.js';
import type { InferTensorContents } from '#proto/inference/grpc_service.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Type, contents, and the bytes written by hand: little endian. */
const CASES: [TensorType, Partial<InferTensorContents>, string][] = [
  ['bool', { boolContents: [true, false, true] }, '010001'],
  ['uint8', { uintContents: [0, 255] }, '00ff'],
  ['uint16', { uintContents: [1, 65535] }, '0100ffff'],
  ['uint32', { uintContents: [1, 4294967295] }, '01000000ffffffff'],
  ['uint64', { uint64Contents: [1n, 18446744073709551615n] }, '0100000000000000ffffffffffffffff'],
  ['int8', { intContents: [-128, 127] }, '807f'],
  ['int16', { intContents: [-32768, 1] }, '00800100'],
  ['int32', { intContents: [-1, 2147483647] }, 'ffffffffffffff7f'],
  ['int64', { int64Contents: [-2n, 9007199254740993n] }, 'feffffffffffffff0100000000002000'],
  ['float32', { fp32Contents: [1, -0.5] }, '0000803f000000bf'],
  ['float64', { fp64Contents: [1] }, '000000000000f03f'],
];

describe('contents', () => {
  it.each(CASES)('of %s are bytes, and back', (type, given, expected) => {
    const contents = { ...NO_CONTENTS, ...given };
    const bytes = bytesOfContents('x', type, contents);
    expect(hex(bytes)).toBe(expected);
    expect(contentsOfBytes(type, bytes)).toEqual(contents);
    // From an odd place in a larger memory, as a message has them.
    const askew = new Uint8Array(bytes.length + 1);
    askew.set(bytes, 1);
    expect(contentsOfBytes(type, askew.subarray(1))).toEqual(contents);
  });

  it('of halves there are none', () => {
    expect(hasContents('float16')).toBe(false);
    expect(contentsOfBytes('float16', new Uint8Array(2))).toBeNull();
    expect(() => bytesOfContents('input "x"', 'float16', { ...NO_CONTENTS, fp32Contents: [1] })).toThrow(
      'input "x": FP16 has no contents; send it in raw_input_contents',
    );
  });

  it('must fit their type', () => {
    const refusal = (type: TensorType, given: Partial<InferTensorContents>) => () => bytesOfContents('input "x"', type, { ...NO_CONTENTS, ...given });
    expect(refusal('int8', { intContents: [0, 128] })).toThrow('input "x": 128 at 1 does not fit INT8');
    expect(refusal('uint8', { uintContents: [256] })).toThrow('256 at 0 does not fit UINT8');
    expect(refusal('int32', { fp32Contents: [1] })).toThrow('it has fp32_contents, INT32 belongs into int_contents');
    expect(refusal('float32', { fp32Contents: [1], bytesContents: [Buffer.from('a')] })).toThrow('it has bytes_contents');
  });
});
