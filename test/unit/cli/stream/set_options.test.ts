import { describe, expect, test } from 'vitest';
import { askedSettings, parseConfidence, parseInterval, parseLabels, parseRegion, parseThreshold } from '../../../../cli/stream/set_options.js';

describe('what options ask for', () => {
  test('is only what they name', () => {
    expect(askedSettings({ interval: 2 }, { car: 0.5 })).toMatchObject({ fields: ['interval'], settings: { interval: 2 } });
    expect(askedSettings({ model: 'b', minConfidence: 0.5 }, {})).toMatchObject({
      fields: ['model', 'min_confidence'],
      settings: { model: 'b', minConfidence: 0.5 },
    });
  });

  test('may be nothing of a setting', () => {
    const nothing = { model: 'none', interval: 0, labels: false, minConfidence: false, thresholds: false, region: false } as const;
    expect(askedSettings(nothing, { car: 0.5 })).toEqual({
      fields: ['model', 'interval', 'labels', 'min_confidence', 'thresholds', 'region'],
      settings: { model: '', interval: 0, labels: [], minConfidence: undefined, thresholds: {}, region: undefined },
    });
  });

  test('leaves thresholds that are not named as they are', () => {
    const current = { car: 0.5, bus: 0.6, dog: 0.7 };
    const threshold = new Map([
      ['bus', 0.1],
      ['dog', null],
      ['cat', 0.2],
    ]);
    expect(askedSettings({ threshold }, current)).toMatchObject({ fields: ['thresholds'], settings: { thresholds: { car: 0.5, bus: 0.1, cat: 0.2 } } });
    expect(askedSettings({ threshold, thresholds: false }, current).settings.thresholds).toEqual({ bus: 0.1, cat: 0.2 });
  });

  test('must be something', () => {
    expect(() => askedSettings({}, {})).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('values', () => {
  test('are read as people write them', () => {
    expect(parseLabels('person, traffic light', ['car'])).toEqual(['car', 'person', 'traffic light']);
    expect(parseInterval('10000')).toBe(10_000);
    expect(parseConfidence('0.35')).toBe(0.35);
    expect([...parseThreshold('a=b=0.5', new Map([['car', 1]]))]).toEqual([
      ['car', 1],
      ['a=b', 0.5],
    ]);
    expect([...parseThreshold('person=none')]).toEqual([['person', null]]);
    expect(parseRegion('0.5,0, 0.5,1')).toEqual({ x: 0.5, y: 0, width: 0.5, height: 1 });
  });

  test.each([
    ['labels', () => parseLabels('person,,car')],
    ['labels', () => parseLabels('')],
    ['interval', () => parseInterval('-1')],
    ['interval', () => parseInterval('10001')],
    ['interval', () => parseInterval('1.5')],
    ['interval', () => parseInterval('')],
    ['confidence', () => parseConfidence('1.1')],
    ['confidence', () => parseConfidence('half')],
    ['threshold', () => parseThreshold('0.5')],
    ['threshold', () => parseThreshold('=0.5')],
    ['threshold', () => parseThreshold('person=')],
    ['threshold', () => parseThreshold('person=2')],
    ['region', () => parseRegion('0.5,0,0.5')],
    ['region', () => parseRegion('0.5,0,0.5,1,1')],
    ['region', () => parseRegion('0.5,0,0.5,')],
    ['region', () => parseRegion('0.5,0,0.5,2')],
  ])('that cannot be are refused (%s)', (_what, read) => {
    expect(read).toThrow(expect.objectContaining({ code: 'commander.invalidArgument' }));
  });
});
