import { readFileSync, writeFileSync } from 'node:fs';

const MAGIC = Buffer.from('\x93NUMPY\x01\x00', 'latin1');
/** Bytes that the header's length is rounded up to. */
const ALIGNMENT = 64;

/** Writes float32 numbers as NumPy's file format, version 1. */
export function writeNpy(file: string, dims: readonly number[], data: Float32Array): void {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(', ')},), }`;
  const length = Math.ceil((MAGIC.length + 2 + text.length + 1) / ALIGNMENT) * ALIGNMENT - MAGIC.length - 2;
  const size = Buffer.alloc(2);
  size.writeUInt16LE(length);
  const header = Buffer.from(`${text.padEnd(length - 1)}\n`, 'latin1');
  writeFileSync(file, Buffer.concat([MAGIC, size, header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

/** The numbers of such a file, as bytes. */
export function readNpy(file: string): Buffer {
  const all = readFileSync(file);
  return all.subarray(MAGIC.length + 2 + all.readUInt16LE(MAGIC.length));
}
