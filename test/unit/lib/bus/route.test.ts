import { describe, expect, it } from 'vitest';
import { groupHold, routeGroups } from '../../../../lib/bus/route.js';

const LIVE = { slots: 16, mode: 'latest', inFlight: 2 } as const;

describe('routeGroups', () => {
  it('gives workers what they may have in flight, and leaves a quarter to others', () => {
    expect(routeGroups(LIVE)).toEqual([
      { name: 'infer', hold: 2 },
      { name: 'sink', hold: 10 },
    ]);
  });

  it('divides what there is between workers and sink when every frame is waited for', () => {
    expect(routeGroups({ ...LIVE, mode: 'lossless' })).toEqual([
      { name: 'infer', hold: 6 },
      { name: 'sink', hold: 6 },
    ]);
  });

  it.each([2, 3, 4, 5, 7, 8, 9, 16, 100, 256])('never gives more than the %i slots, and one frame to each', (slots) => {
    for (const mode of ['latest', 'lossless'] as const) {
      for (const inFlight of [1, 2, 64]) {
        const route = routeGroups({ slots, mode, inFlight });
        const given = route.reduce((sum, { hold }) => sum + hold, 0);
        expect(given).toBeLessThanOrEqual(slots);
        expect(Math.min(...route.map(({ hold }) => hold))).toBeGreaterThan(0);
        expect(groupHold(route, 'sink')).toBeGreaterThan(0);
        expect(groupHold(route, 'nobody')).toBe(0);
      }
    }
  });
});
