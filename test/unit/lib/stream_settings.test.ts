import { describe, expect, test } from 'vitest';
import { DesiredStream } from '#proto/framebus/stream/v1/stream_settings.js';
import { parseConfig } from '../../../lib/config.js';
import { encodeDesiredStream } from '../../../lib/messages.js';
import {
  configuredSettings,
  differingFields,
  effectiveSettings,
  fromStreamSettings,
  LIVE_FIELDS,
  readStreamChange,
  settingProblems,
  toStreamSettings,
  type LiveSettings,
} from '../../../lib/stream_settings.js';
import { captureLog } from '../../helpers/log.js';

const [GATE] = parseConfig(
  `streams:
     gate: { source: /any.mp4, model: ssd, interval: 3, labels: [person], min_confidence: 0.4, thresholds: { person: 0.6 } }`,
  'framebus.yaml',
  {},
).streams;

const CHANGED: LiveSettings = {
  model: 'yolox',
  interval: 1,
  labels: ['car', 'bus'],
  minConfidence: 0.25,
  thresholds: { car: 0.1, bus: 0.9 },
  region: { x: 0.1, y: 0, width: 0.5, height: 1 },
};

const desired = (fields: string[], settings: LiveSettings = CHANGED): DesiredStream =>
  DesiredStream.fromPartial({ fields, settings: toStreamSettings(settings) });

const effective = (fields: string[], settings?: LiveSettings): { settings: LiveSettings; warnings: string[] } => {
  const warnings: string[] = [];
  return { settings: effectiveSettings(GATE!, desired(fields, settings), (text) => warnings.push(text)), warnings };
};

describe('settings that hold', () => {
  test('are those of the configuration when nothing was changed', () => {
    expect(effectiveSettings(GATE!, null, () => undefined)).toEqual({
      model: 'ssd',
      interval: 3,
      labels: ['person'],
      minConfidence: 0.4,
      thresholds: { person: 0.6 },
      region: null,
    });
  });

  test.each(LIVE_FIELDS.map((field) => [field]))('take only %s when only it was changed', (field) => {
    const { settings, warnings } = effective([field]);
    expect(differingFields(settings, configuredSettings(GATE!))).toEqual([field]);
    expect(differingFields(settings, CHANGED)).toEqual(LIVE_FIELDS.filter((other) => other !== field));
    expect(warnings).toEqual([]);
  });

  test('take all that were changed', () => {
    expect(effective([...LIVE_FIELDS]).settings).toEqual(CHANGED);
  });

  test('may be nothing where the configuration has something', () => {
    const nothing: LiveSettings = { model: null, interval: 0, labels: [], minConfidence: null, thresholds: {}, region: null };
    expect(effective([...LIVE_FIELDS], nothing)).toEqual({ settings: nothing, warnings: [] });
  });

  test('leave out names that this version does not know, and say so', () => {
    const { settings, warnings } = effective(['interval', 'zoom', 'secondary']);
    expect(settings).toEqual({ ...configuredSettings(GATE!), interval: 1 });
    expect(warnings).toEqual(['unknown settings: zoom, secondary']);
  });

  test('leave out values that cannot be, and keep the others', () => {
    const { settings, warnings } = effective([...LIVE_FIELDS], { ...CHANGED, interval: 10_001, model: 'a.b' });
    expect(settings).toEqual({ ...CHANGED, interval: 3, model: 'ssd' });
    expect(warnings).toEqual([
      'model: must be 1 to 64 of A-Z a-z 0-9 _ -, is "a.b"',
      'interval: must be a whole number from 0 to 10000, is 10001',
    ]);
  });

  test('leave out labels that do not keep what is concealed: the configuration may have changed since', () => {
    const [yard] = parseConfig(
      'streams: { yard: { source: /any.mp4, model: ssd, labels: [person, car], osd: { conceal: { labels: [Person] } } } }',
      'framebus.yaml',
      {},
    ).streams;
    const warnings: string[] = [];
    const settings = effectiveSettings(yard!, desired(['labels', 'interval']), (text) => warnings.push(text));
    expect(settings).toMatchObject({ labels: ['person', 'car'], interval: 1 });
    expect(warnings).toEqual(['labels: must keep Person, which osd.conceal.labels names: what is not reported cannot be concealed']);
    expect(effectiveSettings(yard!, desired(['labels'], { ...CHANGED, labels: ['person'] }), () => undefined).labels).toEqual(['person']);
  });
});

describe('a stored message', () => {
  test('comes back as it was stored, decimals as somebody wrote them', () => {
    const value = encodeDesiredStream({ fields: ['thresholds', 'min_confidence'], settings: toStreamSettings(CHANGED) });
    const { log, lines } = captureLog();
    const change = readStreamChange(GATE!, { key: 'stream.gate', value, revision: 7 }, log);
    expect(change).toMatchObject({ streamId: 'gate', revision: 7, desired: { fields: ['thresholds', 'min_confidence'] } });
    expect(change.settings).toEqual({ ...configuredSettings(GATE!), thresholds: CHANGED.thresholds, minConfidence: 0.25 });
    expect(lines).toEqual([]);
  });

  test.each([
    ['of another version', DesiredStream.encode({ schemaVersion: 9, fields: ['interval'], settings: undefined }).finish()],
    ['that is none', new Uint8Array([255, 255, 255])],
  ])('%s is left out with a warning that names key and revision', (_what, value) => {
    const { log, lines } = captureLog();
    const change = readStreamChange(GATE!, { key: 'stream.gate', value, revision: 3 }, log);
    expect(change).toEqual({ streamId: 'gate', settings: configuredSettings(GATE!), desired: null, revision: 3 });
    expect(lines).toMatchObject([{ level: 40, key: 'stream.gate', revision: 3, stream: 'gate' }]);
  });

  test('that was deleted leaves what the configuration says', () => {
    const { log } = captureLog();
    const change = readStreamChange(GATE!, { key: 'stream.gate', value: null, revision: 4 }, log);
    expect(change).toEqual({ streamId: 'gate', settings: configuredSettings(GATE!), desired: null, revision: 4 });
  });
});

test.each([0, 0.1, 0.35, 0.123456, 0.9999999, 1 / 3, 1])('a confidence of %d survives the message', (value) => {
  const there = fromStreamSettings(toStreamSettings({ ...CHANGED, minConfidence: Math.fround(value) }));
  expect(Math.fround(there.minConfidence!)).toBe(Math.fround(value));
  if (value !== 1 / 3) expect(there.minConfidence).toBe(value);
});

test.each<[string, Partial<LiveSettings>, string[]]>([
  ['all is well', {}, []],
  ['no model', { model: null }, []],
  ['a model with a dot', { model: 'a.b' }, ['model: must be 1 to 64 of A-Z a-z 0-9 _ -, is "a.b"']],
  ['an interval beyond its end', { interval: 10_001 }, ['interval: must be a whole number from 0 to 10000, is 10001']],
  ['an empty label', { labels: ['car', ' '] }, ['labels[1]: must not be empty']],
  ['a confidence above 1', { minConfidence: 1.5 }, ['min_confidence: must be from 0 to 1, is 1.5']],
  ['no number', { minConfidence: Number.NaN }, ['min_confidence: must be a number, is null']],
  ['a threshold below 0', { thresholds: { car: -0.5 } }, ['thresholds.car: must be from 0 to 1, is -0.5']],
  [
    'a region that stands out',
    { region: { x: 0.6, y: 0, width: 0.5, height: 1 } },
    ['region: must lie within the frame, x + width and y + height at most 1, width and height above 0, is {"x":0.6,"y":0,"width":0.5,"height":1}'],
  ],
  ['a region beside the frame', { region: { x: -0.1, y: 0, width: 0.5, height: 1 } }, ['region.x: must be from 0 to 1, is -0.1']],
])('checked as the configuration is: %s', (_what, wrong, texts) => {
  const problems = settingProblems({ ...CHANGED, ...wrong }, LIVE_FIELDS);
  expect(problems.map(({ text }) => text)).toEqual(texts);
  // Only what is changed is looked at.
  expect(settingProblems({ ...CHANGED, ...wrong }, [])).toEqual([]);
});

test('the order of thresholds is no difference', () => {
  const other = { ...CHANGED, thresholds: { bus: 0.9, car: 0.1 } };
  expect(differingFields(CHANGED, other)).toEqual([]);
  expect(differingFields(CHANGED, { ...other, labels: ['bus', 'car'] })).toEqual(['labels']);
});
