import { OnnxGraph, type OnnxTensor } from './onnx_graph.js';
import type { TfjsGraph, TfjsNode, TfjsWeight } from './tfjs_graph.js';

/** The graph's picture input; the nodes before it decode and resize, which preprocessing does. */
const PICTURE = 'Preprocessor/map/TensorArrayStack/TensorArrayGatherV3';
const ANCHORS = 'Postprocessor/ExpandDims';
/** Reciprocals of the box coder's variances: for the centre and for the size. */
const CENTER_FACTOR = 'ConstantFolding/Postprocessor/Decode/div_recip';
const SIZE_FACTOR = 'ConstantFolding/Postprocessor/Decode/div_2_recip';
const HEADS = 6;
const SIDE = 300;
/** Channels of a class head; channel 0 is background and is cut off. */
const CLASS_CHANNELS = 91;

/**
 * SSDLite-MobileNetV2 as TensorFlow.js graph model → ONNX.
 *
 * Out comes `images` [N,3,300,300] RGB 0–255 → `boxes` [N,A,4] as y1,x1,y2,x2
 * in 0–1 and `scores` [N,A,90] after sigmoid. The while loop over pictures and
 * the non-maximum suppression of the source are left out: batch is a real
 * dimension here, and suppression is done by the service.
 */
export function convertSsdlite(source: TfjsGraph): Uint8Array {
  const converter = new Converter(source);
  return converter.convert();
}

class Converter {
  readonly #source: TfjsGraph;
  readonly #graph = new OnnxGraph('ssdlite_mobilenet_v2_coco');
  readonly #done = new Map<string, OnnxTensor>();
  readonly #zero = this.#graph.floats(Float32Array.of(0), []);
  readonly #six = this.#graph.floats(Float32Array.of(6), []);

  constructor(source: TfjsGraph) {
    this.#source = source;
  }

  convert(): Uint8Array {
    const images = this.#graph.input('images', ['N', 3, SIDE, SIDE]);
    this.#done.set(PICTURE, images);
    const heads = Array.from({ length: HEADS }, (_, index) => index);
    const offsets = this.#concat(heads.map((index) => this.#head(`BoxPredictor_${index}/Reshape`, 4)), 1);
    const logits = this.#concat(heads.map((index) => this.#head(`BoxPredictor_${index}/Reshape_1`, CLASS_CHANNELS)), 1);
    const anchors = this.#floats(ANCHORS);
    const count = anchors.length / 4;
    this.#graph.output('boxes', this.#boxes(offsets, anchors), ['N', count, 4]);
    const scores = this.#slice(this.#graph.node('Sigmoid', [logits]), 1, CLASS_CHANNELS);
    this.#graph.output('scores', scores, ['N', count, CLASS_CHANNELS - 1]);
    return this.#graph.finish('framebus');
  }

  /** One prediction head, from [N,C,H,W] to [N,H·W·C/width,width]. */
  #head(reshape: string, width: number): OnnxTensor {
    const channelsLast = this.#graph.node('Transpose', [this.#tensor(this.#node(reshape).input(0))], { perm: [0, 2, 3, 1] });
    return this.#graph.node('Reshape', [channelsLast, this.#graph.integers([0, -1, width])]);
  }

  /** centre = offset · factor · anchor size + anchor centre; size = exp(offset · factor) · anchor size. */
  #boxes(offsets: OnnxTensor, anchors: Float32Array): OnnxTensor {
    const graph = this.#graph;
    const count = anchors.length / 4;
    const centers = new Float32Array(count * 2);
    const sizes = new Float32Array(count * 2);
    for (let index = 0; index < count; index++) {
      const [y1 = 0, x1 = 0, y2 = 0, x2 = 0] = anchors.subarray(index * 4, index * 4 + 4);
      centers.set([(y1 + y2) / 2, (x1 + x2) / 2], index * 2);
      sizes.set([y2 - y1, x2 - x1], index * 2);
    }
    const center = graph.floats(centers, [1, count, 2]);
    const size = graph.floats(sizes, [1, count, 2]);
    const shift = graph.node('Mul', [this.#slice(offsets, 0, 2), this.#scalar(CENTER_FACTOR)]);
    const middle = graph.node('Add', [graph.node('Mul', [shift, size]), center]);
    const growth = graph.node('Exp', [graph.node('Mul', [this.#slice(offsets, 2, 4), this.#scalar(SIZE_FACTOR)])]);
    const half = graph.node('Mul', [graph.node('Mul', [growth, size]), graph.floats(Float32Array.of(0.5), [1])]);
    return this.#concat([graph.node('Sub', [middle, half]), graph.node('Add', [middle, half])], 2);
  }

  /** The tensor that a node of the source computes, converted once. */
  #tensor(name: string): OnnxTensor {
    const known = this.#done.get(name);
    if (known !== undefined) return known;
    const tensor = this.#operation(this.#node(name));
    this.#done.set(name, tensor);
    return tensor;
  }

  #operation(node: TfjsNode): OnnxTensor {
    switch (node.operator) {
      case 'Conv2D':
        return this.#convolution(node, false);
      case 'DepthwiseConv2dNative':
        return this.#convolution(node, true);
      case 'Relu6':
        return this.#graph.node('Clip', [this.#tensor(node.input(0)), this.#zero, this.#six]);
      case 'FusedBatchNorm':
        return this.#batchNormalization(node);
      case 'BiasAdd':
      case 'Add':
      case 'AddN':
        return this.#elementwise('Add', node);
      case 'Sub':
      case 'Mul':
        return this.#elementwise(node.operator, node);
      default:
        throw new Error(`node ${node.name}: the operation ${node.operator} is not known to this converter`);
    }
  }

  #convolution(node: TfjsNode, depthwise: boolean): OnnxTensor {
    const kernel = this.#weight(node.input(1));
    const [height = 0, width = 0, inputs = 0, outputs = 0] = kernel.shape;
    const strides = node.integers('strides');
    const padding = node.text('padding');
    if (strides?.length !== 4 || (padding !== 'SAME' && padding !== 'VALID')) {
      throw new Error(`node ${node.name}: strides or padding are not as expected (${String(strides)}, ${String(padding)})`);
    }
    const weights = transposeKernel(kernel, depthwise);
    const shape = depthwise ? [inputs * outputs, 1, height, width] : [outputs, inputs, height, width];
    return this.#graph.node('Conv', [this.#tensor(node.input(0)), this.#graph.floats(weights, shape)], {
      kernel_shape: [height, width],
      strides: strides.slice(1, 3),
      group: depthwise ? inputs : 1,
      // TensorFlow puts the odd pixel of padding below and to the right.
      auto_pad: padding === 'SAME' ? 'SAME_UPPER' : 'VALID',
    });
  }

  #batchNormalization(node: TfjsNode): OnnxTensor {
    const parameters = node.inputs.slice(1, 5).map((name) => {
      const data = this.#floats(name);
      return this.#graph.floats(data, [data.length]);
    });
    return this.#graph.node('BatchNormalization', [this.#tensor(node.input(0)), ...parameters], {
      epsilon: { float: node.float('epsilon') ?? 1e-3 },
    });
  }

  #elementwise(operator: string, node: TfjsNode): OnnxTensor {
    if (node.inputs.length !== 2) throw new Error(`node ${node.name}: ${node.inputs.length} inputs, expected 2`);
    const [left, right] = [this.#operand(node.input(0)), this.#operand(node.input(1))];
    return this.#graph.node(operator, [left, right]);
  }

  /** A tensor, or a constant: one number, or one number a channel. */
  #operand(name: string): OnnxTensor {
    if (!this.#source.weights.has(name)) return this.#tensor(name);
    const data = this.#floats(name);
    return this.#graph.floats(data, data.length === 1 ? [1] : [1, data.length, 1, 1]);
  }

  #concat(tensors: OnnxTensor[], axis: number): OnnxTensor {
    return this.#graph.node('Concat', tensors, { axis });
  }

  /** Channels `from` to `to` of the last of three axes. */
  #slice(tensor: OnnxTensor, from: number, to: number): OnnxTensor {
    const graph = this.#graph;
    return graph.node('Slice', [tensor, graph.integers([from]), graph.integers([to]), graph.integers([2])]);
  }

  #scalar(name: string): OnnxTensor {
    return this.#graph.floats(this.#floats(name), [1]);
  }

  #floats(name: string): Float32Array {
    const { data } = this.#weight(name);
    if (!(data instanceof Float32Array)) throw new Error(`weight ${name}: expected float32`);
    return data;
  }

  #weight(name: string): TfjsWeight {
    const weight = this.#source.weights.get(name);
    if (weight === undefined) throw new Error(`weight ${name} is not in the model`);
    return weight;
  }

  #node(name: string): TfjsNode {
    const node = this.#source.nodes.get(name);
    if (node === undefined) throw new Error(`node ${name} is not in the model`);
    return node;
  }
}

/** [height, width, in, out] → [out, in, height, width]; depthwise → [in · out, 1, height, width]. */
function transposeKernel(kernel: TfjsWeight, depthwise: boolean): Float32Array {
  const [height = 0, width = 0, inputs = 0, outputs = 0] = kernel.shape;
  const area = height * width;
  const transposed = new Float32Array(kernel.data.length);
  let from = 0;
  for (let position = 0; position < area; position++) {
    for (let input = 0; input < inputs; input++) {
      for (let output = 0; output < outputs; output++) {
        const row = depthwise ? input * outputs + output : output * inputs + input;
        transposed[row * area + position] = kernel.data[from++] ?? 0;
      }
    }
  }
  return transposed;
}
