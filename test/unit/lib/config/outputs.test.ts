import { describe, expect, test } from 'vitest';
import { configProblem, parse } from '../../../helpers/config.js';

describe('outputs', () => {
  test('a stream has those of defaults, or its own', () => {
    const { streams, defaults } = parse(`defaults:
  outputs: [{name: clean}]
  record: {output: clean}
streams:
  gate: {source: /c.mp4}
  yard: {source: /c.mp4, outputs: [{name: small, draw: true, width: 640, bitrate_kbps: 800}], record: {output: small}}
  barn: {source: /c.mp4, outputs: [], record: {output: null}}
`);
    const clean = { name: 'clean', draw: false, width: null, bitrateKbps: null };
    expect(defaults.outputs).toEqual([clean]);
    expect(streams.map(({ outputs }) => outputs)).toEqual([[clean], [{ name: 'small', draw: true, width: 640, bitrateKbps: 800 }], []]);
    expect(streams.map(({ record }) => record.output)).toEqual(['clean', 'small', null]);
  });

  test.each([
    ['outputs: [{name: a, width: 333}]', 'streams.gate.outputs[0].width: must be even, is 333'],
    ['outputs: [{name: a, width: 10}]', 'must be a whole number from 64 to 7680, is 10'],
    ['outputs: [{name: a/b}]', 'streams.gate.outputs[0].name: must be 1 to 64 of'],
    ['outputs: [{draw: true}]', 'streams.gate.outputs[0].name: is missing'],
    ['outputs: [{name: a, size: 3}]', 'streams.gate.outputs[0].size: unknown key'],
    ['outputs: [{name: a}, {name: b}, {name: a}]', 'streams.gate.outputs[2].name: a is there twice'],
    ['record: {output: clean}', 'streams.gate.record.output: no output is called clean; the stream has none'],
    ['outputs: [{name: a}, {name: b}], record: {output: c}', 'no output is called c; there are a, b'],
  ])('%s is refused', (keys, message) => {
    expect(configProblem(`streams: {gate: {source: /c.mp4, ${keys}}}`)).toContain(message);
  });

  test('bitrates are refused where they mean nothing, or too much', () => {
    const file = (encode: string, kbps: number): string =>
      `sink: {encode: {${encode}}}\ndefaults: {outputs: [{name: a, bitrate_kbps: ${kbps}}]}\nstreams: {gate: {source: /c.mp4}}`;
    expect(configProblem(file('rate_control: quality', 800))).toContain(
      'f.yaml:2: defaults.outputs[0].bitrate_kbps: means nothing with sink.encode.rate_control: quality',
    );
    expect(configProblem(file('codec: h265', 150_000))).toContain('must be at most 102400 for x265');
    expect(configProblem(file('codec: h265', 800))).toBe('');
  });

  test('users may have a stream with its outputs, or one output alone', () => {
    const file = (mount: string): string =>
      `sink: {rtsp: {users: [{name: joe, password_file: p, mounts: ['${mount}']}]}}\nstreams: {gate: {source: /c.mp4}}`;
    for (const mount of ['*', 'gate', 'gate/clean']) expect(configProblem(file(mount))).toBe('');
    for (const mount of ['gate/', '/gate', 'a/b/c', 'a b']) {
      expect(configProblem(file(mount)), mount).toContain('sink.rtsp.users[0].mounts[0]: must be');
    }
  });
});
