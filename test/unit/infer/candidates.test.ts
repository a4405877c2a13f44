import { describe, expect, it } from 'vitest';
import { Candidates } from '../../../services/infer/candidates.js';

describe('Candidates', () => {
  it('keep boxes and landmarks while they grow', () => {
    const found = new Candidates(2);
    for (let index = 0; index < 9; index++) {
      found.push(index, 0, 0, 0, 0.5, index);
      if (index !== 3) found.setLandmarks([index, -index]);
    }
    expect([...found.classes.subarray(0, 9)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    const landmarks = [...found.landmarks.subarray(0, 18)];
    expect(landmarks).toEqual([0, -0, 1, -1, 2, -2, NaN, NaN, 4, -4, 5, -5, 6, -6, 7, -7, 8, -8]);
    found.retain((index) => index % 4 === 0);
    expect([found.count, ...found.classes.subarray(0, 3)]).toEqual([3, 0, 4, 8]);
    expect([...found.landmarks.subarray(0, 6)]).toEqual([0, -0, 4, -4, 8, -8]);
  });

  it('know nothing of the frame before', () => {
    const found = new Candidates();
    found.push(0, 0, 1, 1, 1, 0);
    found.setLandmarks([1, 2, 3, 4]);
    found.clear();
    expect([found.count, found.points]).toEqual([0, 0]);
    found.push(0, 0, 1, 1, 1, 0);
    found.push(0, 0, 1, 1, 1, 0);
    found.setLandmarks([5, 6]);
    expect([...found.landmarks.subarray(0, 4)]).toEqual([NaN, NaN, 5, 6]);
    expect(() => found.setLandmarks([1, 2, 3, 4])).toThrow('landmarks: 4 numbers, expected 2');
  });
});
