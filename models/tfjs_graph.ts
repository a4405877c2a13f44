import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

const attribute = z.object({
  s: z.union([z.array(z.number()), z.string()]).optional(),
  f: z.number().optional(),
  list: z.object({ i: z.array(z.union([z.string(), z.number()])).optional() }).optional(),
});

const node = z.object({
  name: z.string(),
  op: z.string(),
  input: z.array(z.string()).default([]),
  attr: z.record(z.string(), attribute).default({}),
});

const weight = z.object({
  name: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  dtype: z.enum(['float32', 'int32']),
  // Quantized weights would need scaling; none of the models that we convert has them.
  quantization: z.undefined().optional(),
});

const model = z.object({
  modelTopology: z.object({ node: z.array(node) }),
  weightsManifest: z.array(z.object({ paths: z.array(z.string()), weights: z.array(weight) })),
});

/** One operation of a TensorFlow.js graph. */
export class TfjsNode {
  readonly name: string;
  readonly operator: string;
  /** Names of the nodes that it reads, control inputs and output numbers cut off. */
  readonly inputs: readonly string[];
  readonly #attributes: Readonly<Record<string, z.infer<typeof attribute>>>;

  constructor(raw: z.infer<typeof node>) {
    this.name = raw.name;
    this.operator = raw.op;
    this.inputs = raw.input.map((input) => input.replace(/^\^/, '').replace(/:0$/, ''));
    this.#attributes = raw.attr;
  }

  /** Input by position. */
  input(index: number): string {
    const input = this.inputs[index];
    if (input === undefined) throw new Error(`node ${this.name} (${this.operator}) has no input ${index}`);
    return input;
  }

  /** A string attribute, written as bytes or as base64. */
  text(name: string): string | undefined {
    const value = this.#attributes[name]?.s;
    if (value === undefined) return undefined;
    return Buffer.from(typeof value === 'string' ? Buffer.from(value, 'base64') : value).toString();
  }

  /** A list of integers. */
  integers(name: string): number[] | undefined {
    return this.#attributes[name]?.list?.i?.map(Number);
  }

  float(name: string): number | undefined {
    return this.#attributes[name]?.f;
  }
}

/** A constant of the graph. */
export interface TfjsWeight {
  shape: readonly number[];
  /** Row by row. Integers are kept as they are. */
  data: Float32Array | Int32Array;
}

/** A TensorFlow.js graph model with its weights. */
export interface TfjsGraph {
  nodes: ReadonlyMap<string, TfjsNode>;
  weights: ReadonlyMap<string, TfjsWeight>;
}

/** Reads `model.json` and the weight files beside it. Throws on anything that it does not know. */
export async function readTfjsGraph(modelFile: string): Promise<TfjsGraph> {
  const parsed = model.parse(JSON.parse(await readFile(modelFile, 'utf8')));
  const weights = new Map<string, TfjsWeight>();
  for (const group of parsed.weightsManifest) {
    const shards = await Promise.all(group.paths.map((file) => readFile(path.join(path.dirname(modelFile), file))));
    readWeights(Buffer.concat(shards), group.weights, weights);
  }
  return { nodes: new Map(parsed.modelTopology.node.map((raw) => [raw.name, new TfjsNode(raw)])), weights };
}

function readWeights(bytes: Buffer, entries: z.infer<typeof weight>[], into: Map<string, TfjsWeight>): void {
  let offset = 0;
  for (const entry of entries) {
    const length = entry.shape.reduce((product, dimension) => product * dimension, 1) * 4;
    if (offset + length > bytes.length) throw new Error(`weight ${entry.name} lies beyond the end of the weight files`);
    // Copied, because a typed array must begin at a multiple of four bytes.
    const copy = new Uint8Array(bytes.subarray(offset, offset + length)).buffer;
    into.set(entry.name, {
      shape: entry.shape,
      data: entry.dtype === 'int32' ? new Int32Array(copy) : new Float32Array(copy),
    });
    offset += length;
  }
  if (offset !== bytes.length) throw new Error(`the weight files hold ${bytes.length} bytes, the manifest says ${offset}`);
}
