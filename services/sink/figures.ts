import type { ShapeConfig } from '../../lib/config.js';
import type { OverlayLine, OverlayText } from '../../native/contract.js';

interface Point {
  x: number;
  y: number;
}

/** Furthest that a circle's sides may be from the circle, in pixels. */
const ROUNDNESS = 0.25;
/** Of an arrow's line: its head, at most so long as this part of the picture's shorter side. */
const HEAD = { line: 0.3, picture: 0.06, angle: Math.PI / 7 };

/** Lines and names of the shapes that are drawn on all pictures of a size, in its pixels. */
export function figuresOf(shapes: readonly ShapeConfig[], width: number, height: number): { lines: OverlayLine[]; texts: OverlayText[] } {
  const figures = shapes.map(({ kind, points, color, label }) => {
    const corners = points.map(([x, y]) => ({ x: x * width, y: y * height }));
    const paths = pathsOf(kind, corners, Math.min(width, height));
    const lines = paths.map((path) => ({ xy: Float32Array.from(path.flatMap(({ x, y }) => [x, y])), color, fades: false }));
    const { x, y } = paths[0]?.[0] ?? { x: 0, y: 0 };
    return { lines, texts: label === '' ? [] : [{ x, y, text: label, color }] };
  });
  return { lines: figures.flatMap(({ lines }) => lines), texts: figures.flatMap(({ texts }) => texts) };
}

function pathsOf(kind: ShapeConfig['kind'], points: readonly Point[], side: number): (readonly Point[])[] {
  const [first, second] = points;
  if (!first || !second) return [];
  switch (kind) {
    case 'line':
      return [points];
    case 'arrow':
      return [points, head(points.at(-2) ?? first, points.at(-1) ?? second, side)];
    case 'circle':
      return [circle(first, Math.hypot(second.x - first.x, second.y - first.y))];
    case 'polygon':
      return [[...points, first]];
  }
}

/** From one wing over the tip to the other. */
function head(from: Point, tip: Point, side: number): Point[] {
  const angle = Math.atan2(tip.y - from.y, tip.x - from.x);
  const length = Math.min(Math.hypot(tip.x - from.x, tip.y - from.y) * HEAD.line, side * HEAD.picture);
  const wing = (turn: number): Point => ({ x: tip.x - length * Math.cos(angle + turn), y: tip.y - length * Math.sin(angle + turn) });
  return [wing(HEAD.angle), tip, wing(-HEAD.angle)];
}

/** A polygon that looks round; it begins on the left. */
function circle(centre: Point, radius: number): Point[] {
  const sides = Math.max(8, Math.ceil(Math.PI / Math.acos(1 - Math.min(ROUNDNESS / radius, 1))));
  return Array.from({ length: sides + 1 }, (_, side) => {
    const angle = Math.PI + (2 * Math.PI * side) / sides;
    return { x: centre.x + radius * Math.cos(angle), y: centre.y + radius * Math.sin(angle) };
  });
}
