import { expect, test } from 'vitest';
import { parseConfig, type TilesConfig } from '../../../../lib/config.js';

const STREAMS = 'streams: {gate: {source: /a.mp4}, yard: {source: /b.mp4}}';
const tiles = (text: string, encode = ''): readonly TilesConfig[] =>
  parseConfig(`{sink: {encode: {${encode}}, tiles: [${text}]}, ${STREAMS}}`, 'f').sink.tiles;

test('a name is enough', () => {
  expect(tiles('')).toEqual([]);
  const [wall] = tiles('{name: wall}');
  expect(wall).toMatchObject({ name: 'wall', streams: [], width: 1280, height: 720, fps: 10, columns: null });
  expect(wall?.encode).toMatchObject({ bitrateKbps: 4000, maxBitrateKbps: 0 });
});

test('a bitrate of its own changes nothing else of the encoding', () => {
  const [wall] = tiles('{name: wall, streams: [yard, gate], columns: 2, bitrate_kbps: 900}', 'codec: h265, threads: 3');
  expect(wall).toMatchObject({ streams: ['yard', 'gate'], columns: 2 });
  expect(wall?.encode).toMatchObject({ codec: 'h265', threads: 3, bitrateKbps: 900, maxBitrateKbps: 0 });
  const [vbr] = tiles('{name: wall, bitrate_kbps: 900}', 'rate_control: vbr');
  expect(vbr?.encode).toMatchObject({ bitrateKbps: 900, maxBitrateKbps: 1800 });
});

test.each([
  ['{}', 'sink.tiles[0].name: is missing'],
  ['{name: a/b}', 'sink.tiles[0].name: must be 1 to 64 of A-Z a-z 0-9 _ -, is "a/b"'],
  ['{name: gate}', 'sink.tiles[0].name: gate is the name of a stream; both would be /gate for players'],
  ['{name: wall}, {name: wall}', 'sink.tiles[1].name: wall is there twice'],
  ['{name: wall, streams: [gat]}', 'sink.tiles[0].streams: there is no stream "gat"; did you mean "gate"?'],
  ['{name: wall, streams: [porch]}', 'sink.tiles[0].streams: there is no stream "porch"; there are gate, yard'],
  ['{name: wall, streams: [gate, gate]}', 'sink.tiles[0].streams: gate is there twice'],
  ['{name: wall, width: 641}', 'sink.tiles[0].width: must be even, is 641'],
  ['{name: wall, fps: 0}', 'sink.tiles[0].fps: must be a whole number from 1 to 60, is 0'],
  ['{name: wall, width: 160, columns: 11}', 'sink.tiles[0].columns: 11 columns do not fit into a width of 160; at most 10 do'],
  ['{name: wall, colums: 3}', 'unknown key'],
])('[%s] is refused', (text, message) => {
  expect(() => tiles(text)).toThrow(message);
});

test('a bitrate and constant quality do not go together', () => {
  expect(() => tiles('{name: wall, bitrate_kbps: 900}', 'rate_control: quality')).toThrow(
    'sink.tiles[0].bitrate_kbps: means nothing with sink.encode.rate_control: quality',
  );
});
