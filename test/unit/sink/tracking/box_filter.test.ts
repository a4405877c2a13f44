import { describe, expect, it } from 'vitest';
import { BoxFilter } from '../../../../services/sink/tracking/box_filter.js';

const at = (x: number, height = 100) => ({ x, y: 50, width: height / 2, height });

/** A filter that has seen something that moves by some pixels a second, for two seconds. */
function moving(pixelsPerSecond: number, framesPerSecond: number): BoxFilter {
  const filter = new BoxFilter(at(0));
  for (let frame = 1; frame <= 2 * framesPerSecond; frame++) {
    filter.correct(at((pixelsPerSecond * frame) / framesPerSecond), 1 / framesPerSecond);
  }
  return filter;
}

describe('BoxFilter', () => {
  it('expects a box that was seen once to stay, and knows less of it with time', () => {
    const filter = new BoxFilter({ x: 10, y: 20, width: 30, height: 60 });
    for (const seconds of [0, 0.04, 3]) {
      const { x, y, width, height } = filter.predict(seconds);
      expect([x, y, width, height].map((value) => Math.round(value * 1e9) / 1e9)).toEqual([10, 20, 30, 60]);
    }
    expect(filter.deviation(0)).toBeCloseTo(6);
    expect(filter.deviation(1)).toBeGreaterThan(filter.deviation(0.1));
  });

  it('weighs a second box as computed by hand', () => {
    const filter = new BoxFilter(at(0));
    filter.correct(at(10), 0.1);
    // Variance 10² + 0.1² × 187.5² + 50² × 0.1³ / 3 = 452.396 against 5² of the measurement.
    expect(filter.predict(0).x).toBeCloseTo((10 * 452.3958) / 477.3958, 4);
    // Covariance 0.1 × 187.5² + 50² × 0.1² / 2 = 3528.125.
    expect(filter.predict(1).x - filter.predict(0).x).toBeCloseTo((10 * 3528.125) / 477.3958, 3);
    expect(filter.deviation(0)).toBeCloseTo(Math.sqrt((452.3958 * 25) / 477.3958), 4);
    expect(filter.predict(1).height).toBeCloseTo(100, 9);
  });

  it('learns the same velocity at any rate of frames', () => {
    for (const framesPerSecond of [5, 10, 30, 60]) {
      const filter = moving(80, framesPerSecond);
      expect(filter.predict(0.5).x, `${framesPerSecond} fps`).toBeCloseTo(200, -0.5);
      expect(filter.predict(1).x - filter.predict(0).x, `${framesPerSecond} fps`).toBeCloseTo(80, -0.5);
    }
  });

  it('takes a gap as the time that it is', () => {
    const filter = moving(80, 10);
    filter.correct(at(160 + 80 * 1.7), 1.7);
    expect(filter.predict(1).x).toBeCloseTo(160 + 80 * 2.7, -0.5);
  });

  it('is as sure of a large box as of a small one, in heights', () => {
    const [small, large] = [new BoxFilter(at(0, 10)), new BoxFilter(at(0, 1000))];
    small.correct(at(1, 10), 0.1);
    large.correct(at(100, 1000), 0.1);
    expect(large.deviation(0.5)).toBeCloseTo(100 * small.deviation(0.5), 6);
    expect(large.predict(0.5).x).toBeCloseTo(100 * small.predict(0.5).x, 6);
  });

  it('never makes a box smaller than nothing', () => {
    const filter = new BoxFilter(at(0, 100));
    for (const height of [80, 60, 40, 20]) filter.correct(at(0, height), 0.1);
    for (const seconds of [0.1, 1, 100]) {
      const { width, height } = filter.predict(seconds);
      expect(width).toBeGreaterThan(0);
      expect(height).toBeGreaterThan(0);
    }
    filter.correct(at(0, 20), 100);
    expect(filter.predict(0).height).toBeGreaterThan(0);
  });

  it('holds the height on request, and goes on moving', () => {
    const filter = new BoxFilter(at(0, 100));
    for (const [step, height] of [110, 120, 130].entries()) filter.correct(at(10 * (step + 1), height), 0.1);
    const now = filter.predict(0);
    expect(filter.predict(0.5).height).toBeGreaterThan(now.height + 20);
    filter.holdHeight();
    expect(filter.predict(0.5).height).toBeCloseTo(now.height, 9);
    expect(filter.predict(0.5).x).toBeGreaterThan(now.x + 20);
  });
});
