import { expect, test } from 'vitest';
import { parseConfig } from '../../../../lib/config.js';
import type { EncodeConfig } from '../../../../lib/config.js';

const encode = (text: string): EncodeConfig =>
  parseConfig(`{sink: {encode: {${text}}}, streams: {gate: {source: /clip.mp4}}}`, 'f').sink.encode;

const DEFAULTS: EncodeConfig = {
  codec: 'h264',
  encoder: 'auto',
  rateControl: 'cbr',
  bitrateKbps: 4000,
  maxBitrateKbps: 0,
  quality: 23,
  preset: 'veryfast',
  keyframeIntervalMs: 2000,
  threads: 0,
};

test.each<[string, Partial<EncodeConfig>]>([
  ['', {}],
  ['codec: h265', { codec: 'h265', quality: 28 }],
  ['codec: h265, encoder: x265, preset: slow', { codec: 'h265', encoder: 'x265', quality: 28, preset: 'slow' }],
  ['encoder: openh264, bitrate_kbps: 900', { encoder: 'openh264', bitrateKbps: 900 }],
  ['rate_control: vbr', { rateControl: 'vbr', maxBitrateKbps: 8000 }],
  ['rate_control: vbr, bitrate_kbps: 900', { rateControl: 'vbr', bitrateKbps: 900, maxBitrateKbps: 1800 }],
  ['rate_control: vbr, max_bitrate_kbps: 4000', { rateControl: 'vbr', maxBitrateKbps: 4000 }],
  ['rate_control: quality', { rateControl: 'quality' }],
  ['rate_control: quality, quality: 0', { rateControl: 'quality', quality: 0 }],
  ['rate_control: quality, quality: 30, max_bitrate_kbps: 500', { rateControl: 'quality', quality: 30, maxBitrateKbps: 500 }],
  ['codec: h265, encoder: nvenc, bitrate_kbps: 150000', { codec: 'h265', encoder: 'nvenc', bitrateKbps: 150_000, quality: 28 }],
])('{%s} is taken', (text, expected) => {
  expect(encode(text)).toEqual({ ...DEFAULTS, ...expected });
});

test.each([
  ['codec: av1', 'sink.encode.codec: must be one of h264, h265, is "av1"'],
  ['encoder: x266', 'sink.encode.encoder: must be one of auto, x264, openh264, x265, nvenc, jetson, is "x266"'],
  ['quality: 52, rate_control: quality', 'sink.encode.quality: must be a whole number from 0 to 51, is 52'],
  ['encoder: x265', 'sink.encode.encoder: x265 does not write h264; use codec: h265, or encoder: auto'],
  ['codec: h265, encoder: openh264', 'sink.encode.encoder: openh264 does not write h265; use codec: h264, or encoder: auto'],
  ['max_bitrate_kbps: 8000', 'sink.encode.max_bitrate_kbps: is for rate_control: vbr or quality; with cbr bitrate_kbps is the limit'],
  ['rate_control: vbr, max_bitrate_kbps: 3999', 'sink.encode.max_bitrate_kbps: must not be less than bitrate_kbps'],
  ['quality: 20', 'sink.encode.quality: is for rate_control: quality; with cbr set bitrate_kbps'],
  ['rate_control: vbr, quality: 20', 'sink.encode.quality: is for rate_control: quality; with vbr set bitrate_kbps'],
  ['rate_control: quality, bitrate_kbps: 900', 'sink.encode.bitrate_kbps: means nothing with rate_control: quality; use max_bitrate_kbps for a limit'],
  ['rate_control: quality, encoder: jetson, max_bitrate_kbps: 900', 'sink.encode.max_bitrate_kbps: cannot be had from jetson with rate_control: quality; use vbr'],
  ['codec: h265, bitrate_kbps: 102401', 'sink.encode.bitrate_kbps: must be at most 102400 for x265; use another encoder for more'],
])('{%s} is refused', (text, message) => {
  expect(() => encode(text)).toThrow(message);
});

test('null means the default, also where it is written', () => {
  expect(encode('max_bitrate_kbps: null, quality: null')).toEqual(DEFAULTS);
});
