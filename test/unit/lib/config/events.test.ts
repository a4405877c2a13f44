import { describe, expect, test } from 'vitest';
import type { EventsConfig } from '../../../../lib/config.js';
import { configProblem, parse } from '../../../helpers/config.js';

const ofStream = (events: string, defaults = '{}'): EventsConfig | undefined =>
  parse(`defaults: {events: ${defaults}}\nstreams: {gate: {source: /c.mp4, events: ${events}}}`).streams[0]?.events;

describe('events', () => {
  test('a stream says only what differs; its rules replace the others', () => {
    const defaults = '{enabled: true, pre_roll: 8s, keep: 0, rules: [{name: any}]}';
    expect(ofStream('{post_roll: 0, cache: 8MiB, rules: [{name: crowd, labels: [person], at_least: 3, for: 2s, save: [metadata]}]}', defaults)).toEqual({
      enabled: true,
      folder: 'gate/events',
      preRollMs: 8_000,
      postRollMs: 0,
      maxLengthMs: 300_000,
      cacheBytes: 2 ** 23,
      keepMs: 0,
      rules: [{ name: 'crowd', labels: ['person'], minConfidence: 0, attributes: [], atLeast: 3, forMs: 2_000, pauseMs: 10_000, save: ['metadata'] }],
    });
    expect(ofStream('{}', defaults)?.rules).toMatchObject([{ name: 'any', atLeast: 1, save: ['clip'] }]);
  });

  test.each([
    ['{clips: true}', 'defaults.events.clips: unknown key'],
    ['{pre_roll: 2m}', 'must be from 0ms to 1m, is "2m"'],
    ['{max_length: 0}', 'must be from 1s to 1d, is 0'],
    ['{cache: 0}', 'must be 1MiB or more'],
    ['{folder: ../x}', 'must be a folder below the root'],
    ['{enabled: true, rules: [{labels: [person]}]}', 'defaults.events.rules[0].name'],
    ['{enabled: true, rules: [{name: a b}]}', 'must be 1 to 64 of A-Z a-z 0-9 _ -, is "a b"'],
    ['{enabled: true, rules: [{name: a, save: []}]}', 'must name at least one of clip, snapshot, clean_snapshot, metadata'],
    ['{enabled: true, rules: [{name: a, save: [video]}]}', 'must be one of clip, snapshot, clean_snapshot, metadata, is "video"'],
    ['{enabled: true, rules: [{name: a, pause: 10ms}]}', 'must be from 1s to 1d, is "10ms"'],
    ['{enabled: true, rules: [{name: a, label: person}]}', 'defaults.events.rules[0].label: unknown key'],
    ['{enabled: true, rules: [{name: a}, {name: b}, {name: a}]}', 'streams.gate.events.rules: a is there twice'],
    ['{rules: [{name: a}]}', 'streams.gate.events.rules: do nothing without events.enabled: true'],
  ])('%s', (events, said) => {
    expect(configProblem(`defaults: {events: ${events}}\nstreams: {gate: {source: /c.mp4}}`)).toContain(said);
  });

  test('clips and recordings need folders of their own', () => {
    const both = 'record: {enabled: true, folder: all}, events: {enabled: true, folder: all}';
    expect(configProblem(`streams: {gate: {source: /c.mp4, ${both}}}`)).toContain('streams.gate.events.folder: folder "all" is already that of gate');
    expect(configProblem('defaults: {events: {enabled: true, folder: all}}\nstreams: {a: {source: /x}, b: {source: /y}}')).toContain(
      'streams.b.events.folder: folder "all" is already that of a',
    );
    expect(configProblem('defaults: {record: {enabled: true}, events: {enabled: true}}\nstreams: {a: {source: /x}, b: {source: /y}}')).toBe('');
  });
});
