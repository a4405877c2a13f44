import { describe, expect, test } from 'vitest';
import type { EncodeOptions } from '../../native/contract.js';
import { chooseEncoder, createOutput } from '../../native/index.js';
import { eventually } from '../helpers/eventually.js';
import { ffmpegTool, frameFormat, OutputRig, outputOptions, probe, rtspServer } from '../helpers/output_rig.js';
import { tempFile } from '../helpers/temp.js';

/** The page's own; plain JavaScript. */
const PAGE = new URL('../../services/sink/page/mp4.mjs', import.meta.url).href;
const { mimeType } = (await import(PAGE)) as { mimeType: (bytes: Uint8Array) => string | null };

const WAIT = { timeoutMs: 60_000 };
const TCP = ['-rtsp_transport', 'tcp'];

function errorOf(attempt: () => unknown): unknown {
  try {
    attempt();
  } catch (error) {
    return error;
  }
  return null;
}

describe('the choice', () => {
  test('names the element and why', () => {
    expect(chooseEncoder({ codec: 'h264', encoder: 'x264' })).toEqual({ element: 'x264enc', reason: 'as configured' });
    const { element, reason } = chooseEncoder({ codec: 'h265', encoder: 'auto' });
    expect(element).toMatch(/265enc$/);
    expect(reason).not.toBe('');
  });

  test('refuses an encoder of another codec, and what is no encoder', () => {
    expect(errorOf(() => chooseEncoder({ codec: 'h265', encoder: 'x264' }))).toMatchObject({ code: 'BAD_OPTIONS' });
    const wrong = { ...outputOptions(frameFormat(64, 64)).encode, encoder: 'x266' } as unknown as EncodeOptions;
    expect(errorOf(() => createOutput(outputOptions(frameFormat(64, 64), { encode: wrong }), () => undefined))).toMatchObject({
      code: 'BAD_ARGUMENT',
      message: expect.stringContaining('options.encode.encoder') as string,
    });
  });
});

/** The first bytes of an output as the page gets them, some pictures long. */
async function recorded(encode: Partial<EncodeOptions>): Promise<Buffer> {
  const rig = await OutputRig.open(outputOptions(frameFormat(320, 240), { encode }));
  const data: Uint8Array[] = [];
  const viewer = rig.output.openViewer((event) => {
    if (event.type !== 'data') return;
    data.push(event.data);
    viewer.acknowledge(event.data.byteLength);
  });
  const stop = rig.roll();
  await eventually('fragments', () => data.length > 20, WAIT);
  stop();
  viewer.close();
  await rig.close();
  return Buffer.concat(data);
}

test.each<[string, Partial<EncodeOptions>, Record<string, unknown>, RegExp]>([
  ['openh264', { encoder: 'openh264' }, { codec_name: 'h264', codec_tag_string: 'avc1' }, /"avc1\.42[0-9a-f]{4}"$/],
  ['x265', { codec: 'h265' }, { codec_name: 'hevc', codec_tag_string: 'hvc1' }, /"hvc1\.1\.6\.L\d+\.[0-9A-F]+"$/],
])('the page gets MP4 of %s without B-frames', async (_name, encode, stream, mime) => {
  const bytes = await recorded({ ...encode, preset: 'medium' });
  expect(mimeType(bytes)).toMatch(mime);
  const file = tempFile('live.mp4', bytes);
  expect(await probe(file)).toMatchObject({ ...stream, width: 320, height: 240, has_b_frames: 0 });
  const types = (await ffmpegTool('ffprobe', ['-show_entries', 'frame=pict_type', '-of', 'csv=p=0', file])).toString();
  expect(types.replace(/[^A-Z]/g, '')).toMatch(/^I[IP]*P{15,}[IP]*$/);
});

/** The byte after each start code: the header of a NAL unit, or its first half. */
function nalHeaders(bytes: Buffer): number[] {
  const headers: number[] = [];
  const start = Buffer.from([0, 0, 1]);
  for (let at = bytes.indexOf(start); at >= 0; at = bytes.indexOf(start, at + 3)) headers.push(bytes[at + 3] ?? 0);
  return headers;
}

interface NalTypes {
  typeOf: (header: number) => number;
  /** Of pictures where decoding starts. */
  starts: number[];
  parameterSets: number[];
}

test.each<['h264' | 'h265', string, NalTypes]>([
  ['h264', 'h264', { typeOf: (header) => header & 0x1f, starts: [5], parameterSets: [7, 8] }],
  ['h265', 'hevc', { typeOf: (header) => (header >> 1) & 0x3f, starts: [16, 17, 18, 19, 20, 21], parameterSets: [32, 33, 34] }],
])('RTSP carries %s with its parameter sets before each keyframe', async (codec, name, { typeOf, starts, parameterSets }) => {
  const encode = { codec, keyframeIntervalMs: 400 };
  const rig = await OutputRig.open(outputOptions(frameFormat(320, 240), { encode }));
  const server = rtspServer();
  server.mount('gate', rig.output);
  rig.roll();
  await eventually('frames', () => rig.encoded.length > 2, WAIT);
  const url = `rtsp://127.0.0.1:${server.port}/gate`;
  expect(await probe(url, TCP)).toMatchObject({ codec_name: name, width: 320, height: 240, has_b_frames: 0 });
  const raw = await ffmpegTool('ffmpeg', [...TCP, '-i', url, '-frames:v', '10', '-f', 'rawvideo', '-']);
  expect(raw.length).toBe((10 * 320 * 240 * 3) / 2);
  // Copied: ffmpeg adds none of its own.
  const copied = await ffmpegTool('ffmpeg', [...TCP, '-i', url, '-frames:v', '30', '-c', 'copy', '-f', name, '-']);
  const types = nalHeaders(copied).map(typeOf);
  const keyframes = types.flatMap((type, n) => (starts.includes(type) ? [n] : []));
  expect(keyframes.length).toBeGreaterThan(1);
  for (const n of keyframes) expect(types.slice(Math.max(0, n - 4), n)).toEqual(expect.arrayContaining(parameterSets));
});
