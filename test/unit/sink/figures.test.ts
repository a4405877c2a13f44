import { describe, expect, it } from 'vitest';
import type { ShapeConfig } from '../../../lib/config.js';
import { figuresOf } from '../../../services/sink/figures.js';

const shape = (kind: ShapeConfig['kind'], points: ShapeConfig['points'], label = ''): ShapeConfig => ({ kind, points, color: 0x123456, label });
const paths = (one: ShapeConfig): number[][] => figuresOf([one], 200, 100).lines.map(({ xy }) => [...xy]);

describe('figuresOf', () => {
  it('makes lines and polygons in pixels, polygons closed', () => {
    expect(figuresOf([shape('line', [[0, 0], [1, 0.5], [0.5, 1]])], 200, 100)).toEqual({
      lines: [{ xy: Float32Array.of(0, 0, 200, 50, 100, 100), color: 0x123456, fades: false }],
      texts: [],
    });
    expect(paths(shape('polygon', [[0, 0], [1, 0], [1, 1]]))).toEqual([[0, 0, 200, 0, 200, 100, 0, 0]]);
  });

  it('gives arrows a head at their last point, on both sides and behind it', () => {
    const [line, head = []] = paths(shape('arrow', [[0.1, 0.5], [0.9, 0.5]]));
    expect(line).toEqual([20, 50, 180, 50]);
    const [x1 = 0, y1 = 0, tipX, tipY, x2 = 0, y2 = 0] = head;
    expect([tipX, tipY]).toEqual([180, 50]);
    expect(x1).toBeCloseTo(x2, 3);
    expect(x1).toBeLessThan(176);
    expect(y1 + y2).toBeCloseTo(100, 3);
    expect(Math.abs(y1 - 50)).toBeGreaterThan(2);
  });

  it('makes circles round whatever the shape of the picture', () => {
    const [path = []] = paths(shape('circle', [[0.5, 0.5], [0.6, 0.5]]));
    for (let i = 0; i < path.length; i += 2) {
      expect(Math.hypot((path[i] ?? 0) - 100, (path[i + 1] ?? 0) - 50)).toBeCloseTo(20, 3);
    }
    expect(path.length).toBeGreaterThan(2 * 16);
    expect(path.slice(-2).map((value) => Math.round(value))).toEqual(path.slice(0, 2).map((value) => Math.round(value)));
    expect(paths(shape('circle', [[0.5, 0.5], [0.5, 0.5]]))[0]?.every((value) => Number.isFinite(value))).toBe(true);
  });

  it('writes names where shapes begin', () => {
    expect(figuresOf([shape('line', [[0.5, 0.25], [1, 1]], 'in'), shape('circle', [[0.5, 0.5], [0.5, 0.7]], 'out')], 200, 100).texts).toEqual([
      { x: 100, y: 25, text: 'in', color: 0x123456 },
      { x: 80, y: 50, text: 'out', color: 0x123456 },
    ]);
  });
});
