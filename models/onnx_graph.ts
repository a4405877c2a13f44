import protobuf from 'protobufjs/minimal.js';

/** Data types of ONNX tensors that we write; `TensorProto.DataType`. */
const FLOAT = 1;
const INT64 = 7;
const TYPES = {
  float32: FLOAT,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: INT64,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
} as const;

/** Type of a graph's input or output. */
export type OnnxType = keyof typeof TYPES;
/** `AttributeProto.AttributeType`. */
const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_STRING = 3;
const ATTRIBUTE_INTS = 7;

const IR_VERSION = 8;
const OPSET_VERSION = 13;

/** Wire type "length-delimited"; the tag is `field << 3 | 2`. */
const bytesTag = (field: number): number => ((field << 3) | 2) >>> 0;
const varintTag = (field: number): number => (field << 3) >>> 0;
const fixed32Tag = (field: number): number => ((field << 3) | 5) >>> 0;

/** An attribute of a node; a `float` is marked, because JavaScript's numbers do not tell. */
export type OnnxAttribute = number | number[] | string | { float: number };

/** One dimension: a length, or the name of a length that is known at run time. */
export type OnnxDimension = number | string;

/** Name of a tensor in the graph. */
export type OnnxTensor = string;

type Write = (writer: protobuf.Writer) => void;

function message(field: number, write: Write): Write {
  return (writer) => {
    writer.uint32(bytesTag(field)).fork();
    write(writer);
    writer.ldelim();
  };
}

function writeAttribute(writer: protobuf.Writer, name: string, value: OnnxAttribute): void {
  writer.uint32(bytesTag(1)).string(name);
  if (typeof value === 'string') {
    writer.uint32(bytesTag(4)).string(value).uint32(varintTag(20)).int32(ATTRIBUTE_STRING);
  } else if (typeof value === 'number') {
    writer.uint32(varintTag(3)).int64(value).uint32(varintTag(20)).int32(ATTRIBUTE_INT);
  } else if (Array.isArray(value)) {
    for (const item of value) writer.uint32(varintTag(8)).int64(item);
    writer.uint32(varintTag(20)).int32(ATTRIBUTE_INTS);
  } else {
    writer.uint32(fixed32Tag(2)).float(value.float).uint32(varintTag(20)).int32(ATTRIBUTE_FLOAT);
  }
}

function writeDimension(writer: protobuf.Writer, dimension: OnnxDimension): void {
  if (typeof dimension === 'string') writer.uint32(bytesTag(2)).string(dimension);
  else writer.uint32(varintTag(1)).int64(dimension);
}

/** ValueInfoProto of a tensor. */
function valueInfo(name: string, dimensions: readonly OnnxDimension[], type: OnnxType): Write {
  const shape: Write = (writer) => {
    for (const dimension of dimensions) message(1, (w) => writeDimension(w, dimension))(writer);
  };
  const tensorType: Write = (writer) => {
    writer.uint32(varintTag(1)).int32(TYPES[type]);
    message(2, shape)(writer);
  };
  return (writer) => {
    writer.uint32(bytesTag(1)).string(name);
    message(2, message(1, tensorType))(writer);
  };
}

/**
 * Writes an ONNX model: nodes in the order in which they were added, which must
 * be the order in which they can run. Field numbers are those of onnx.proto.
 */
export class OnnxGraph {
  readonly #name: string;
  readonly #nodes: Write[] = [];
  readonly #initializers: Write[] = [];
  readonly #inputs: Write[] = [];
  readonly #outputs: Write[] = [];
  #serial = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Declares an input. */
  input(name: string, dimensions: readonly OnnxDimension[], type: OnnxType = 'float32'): OnnxTensor {
    this.#inputs.push(valueInfo(name, dimensions, type));
    return name;
  }

  /** A constant float tensor; no dimensions make a scalar. */
  floats(data: Float32Array, dimensions: readonly number[]): OnnxTensor {
    return this.#initializer(FLOAT, dimensions, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  /** A constant vector of 64-bit integers. */
  integers(values: readonly number[]): OnnxTensor {
    const data = BigInt64Array.from(values, BigInt);
    return this.#initializer(INT64, [values.length], new Uint8Array(data.buffer));
  }

  /** Adds a node with one output, and returns the output. */
  node(operator: string, inputs: readonly OnnxTensor[], attributes: Record<string, OnnxAttribute> = {}): OnnxTensor {
    const output = this.#fresh();
    this.#addNode(operator, inputs, output, attributes);
    return output;
  }

  /** Converts a tensor to another type. */
  cast(tensor: OnnxTensor, type: OnnxType): OnnxTensor {
    return this.node('Cast', [tensor], { to: TYPES[type] });
  }

  /** Declares an output of the graph under a name of its own; `type` is the tensor's. */
  output(name: string, tensor: OnnxTensor, dimensions: readonly OnnxDimension[], type: OnnxType = 'float32'): void {
    this.#addNode('Identity', [tensor], name, {});
    this.#outputs.push(valueInfo(name, dimensions, type));
  }

  /** The model as the bytes of an `.onnx` file. */
  finish(producer: string): Uint8Array {
    const writer = protobuf.Writer.create();
    writer.uint32(varintTag(1)).int64(IR_VERSION);
    writer.uint32(bytesTag(2)).string(producer);
    message(7, (graph) => {
      for (const node of this.#nodes) message(1, node)(graph);
      graph.uint32(bytesTag(2)).string(this.#name);
      for (const initializer of this.#initializers) message(5, initializer)(graph);
      for (const input of this.#inputs) message(11, input)(graph);
      for (const output of this.#outputs) message(12, output)(graph);
    })(writer);
    message(8, (opset) => {
      opset.uint32(bytesTag(1)).string('').uint32(varintTag(2)).int64(OPSET_VERSION);
    })(writer);
    return writer.finish();
  }

  #fresh(): OnnxTensor {
    return `t${this.#serial++}`;
  }

  #initializer(dataType: number, dimensions: readonly number[], raw: Uint8Array): OnnxTensor {
    const name = this.#fresh();
    this.#initializers.push((writer) => {
      for (const dimension of dimensions) writer.uint32(varintTag(1)).int64(dimension);
      writer.uint32(varintTag(2)).int32(dataType);
      writer.uint32(bytesTag(8)).string(name).uint32(bytesTag(9)).bytes(raw);
    });
    return name;
  }

  #addNode(
    operator: string,
    inputs: readonly OnnxTensor[],
    output: OnnxTensor,
    attributes: Record<string, OnnxAttribute>,
  ): void {
    this.#nodes.push((writer) => {
      for (const input of inputs) writer.uint32(bytesTag(1)).string(input);
      writer.uint32(bytesTag(2)).string(output);
      writer.uint32(bytesTag(3)).string(`${operator}_${output}`);
      writer.uint32(bytesTag(4)).string(operator);
      for (const [name, value] of Object.entries(attributes)) message(5, (w) => writeAttribute(w, name, value))(writer);
    });
  }
}
