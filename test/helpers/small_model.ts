import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { OnnxGraph } from '../../models/onnx_graph.js';

/** Width and height of the picture that small models take, unless said otherwise. */
export const SMALL_SIDE = 64;

export interface SmallModelOptions {
  /** Width and height of the picture. */
  side?: number;
  /** stretch: crops of any shape are shown whole. */
  resize?: 'stretch' | 'letterbox';
  batch?: number | 'dynamic';
}

/** Writes a manifest and its model into a folder; the picture is `images` [N,3,side,side], RGB from 0 to 1. */
export function writeSmallModel(
  folder: string,
  name: string,
  manifest: Record<string, unknown>,
  build: (graph: OnnxGraph, images: string) => void,
  { side = SMALL_SIDE, resize = 'letterbox', batch = 'dynamic' }: SmallModelOptions = {},
): void {
  const graph = new OnnxGraph(name);
  build(graph, graph.input('images', [batch === 'dynamic' ? 'N' : batch, 3, side, side]));
  writeFileSync(path.join(folder, `${name}.onnx`), graph.finish('test'));
  const third = [1 / 255, 1 / 255, 1 / 255];
  const input = {
    ...{ name: 'images', width: side, height: side, layout: 'nchw', resize, pad: 0 },
    ...(resize === 'letterbox' ? { anchor: 'center' } : {}),
    ...{ color_order: 'rgb', mean: [0, 0, 0], scale: third, dtype: 'float32' },
  };
  writeFileSync(path.join(folder, `${name}.yaml`), stringify({ name, licence: 'Apache-2.0', source: { file: `${name}.onnx` }, batch, input, ...manifest }));
}

/** Mean of each colour channel of the picture, [N,3]. */
export const meanColour = (graph: OnnxGraph, images: string): string =>
  graph.node('Reshape', [graph.node('GlobalAveragePool', [images]), graph.integers([0, 3])]);

/** What a manifest of a model says that finds the same boxes in every picture. */
export const FIXED_BOXES = { task: 'detect', decoder: { kind: 'yolo-e2e', output: 'boxes' }, thresholds: { default: 0.25 }, nms: { kind: 'none' } };

/**
 * Finds the same boxes in every picture, whatever is in it.
 *
 * @param rows x1, y1, x2, y2 in pixels of the network's picture, score, class
 */
export function fixedBoxes(graph: OnnxGraph, images: string, rows: readonly (readonly [number, number, number, number, number, number])[]): void {
  // Nothing times the picture, one number a picture: the batch's size must be in the shape.
  const none = graph.node('Mul', [graph.node('Slice', [meanColour(graph, images), graph.integers([0]), graph.integers([1]), graph.integers([1])]), graph.floats(Float32Array.of(0), [1])]);
  const one = graph.node('Reshape', [none, graph.integers([0, 1, 1])]);
  graph.output('boxes', graph.node('Add', [one, graph.floats(Float32Array.from(rows.flat()), [1, rows.length, 6])]), ['N', rows.length, 6]);
}
