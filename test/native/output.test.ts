import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import type { Output, Viewer, ViewerEvent } from '../../native/contract.js';
import { addonPath, createOutput } from '../../native/index.js';
import { emptyOverlay } from '../../services/sink/overlay.js';
import { eventually } from '../helpers/eventually.js';
import { ffmpegTool, frameFormat, OutputRig, outputOptions, probe, rtspServer } from '../helpers/output_rig.js';
import { tempFile } from '../helpers/temp.js';

const RED_BOX = { x: 40, y: 40, width: 120, height: 120, label: 'person 87 %', color: 0xff0000, part: false };
/** Six cells of a row, three rows. */
const MASK = { x: 40, y: 80, width: 240, height: 120, columns: 6, rows: 3, runs: Uint32Array.of(2, 3, 1, 1), label: '', color: 0xff0000 };
const NOTHING = emptyOverlay();

/** A viewer's data, acknowledged as it comes. */
function watch(output: Output): { viewer: Viewer; data: Uint8Array[]; events: ViewerEvent[] } {
  const data: Uint8Array[] = [];
  const events: ViewerEvent[] = [];
  const viewer = output.openViewer((event) => {
    events.push(event);
    if (event.type !== 'data') return;
    data.push(event.data);
    viewer.acknowledge(event.data.byteLength);
  });
  return { viewer, data, events };
}

function codeOf(attempt: () => unknown): unknown {
  try {
    attempt();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return null;
}

describe('frames', () => {
  test('each queued frame ends as one event, all of them before close resolves', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(320, 240, { pixelFormat: 'NV12' })));
    while (rig.pushed < 60) if (rig.push() !== 'queued') await sleep(2);
    await rig.output.close();
    expect(rig.encoded).toEqual(Array.from({ length: 60 }, (_, n) => BigInt(n)));
    expect(rig.events.filter(({ type }) => type !== 'encoded')).toEqual([]);
    expect(rig.events[0]).toMatchObject({ type: 'encoded', keyframe: true });
    const heard = rig.events.length;
    await sleep(50);
    expect(rig.events.length).toBe(heard);
    expect(codeOf(() => rig.push())).toBe('OUTPUT_CLOSED');
    await rig.output.close();
  });

  test('a full queue is told, and slots come back at once', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(1280, 720), { queue: 2, encode: { preset: 'slow' } }));
    for (let n = 0; n < 40; n++) rig.push();
    expect(rig.full).toBeGreaterThan(0);
    await rig.output.close();
    expect(rig.encoded.length).toBe(rig.pushed);
  });

  test('a snapshot is a JPEG of the drawn picture', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(320, 240)));
    expect(await rig.output.snapshot(85)).toBeNull();
    rig.push({ boxes: [RED_BOX] });
    await eventually('an encoded frame', () => rig.encoded.length === 1);
    const snapshot = await rig.output.snapshot(85);
    expect(snapshot?.seq).toBe(0n);
    const file = tempFile('picture.jpg', snapshot?.jpeg ?? new Uint8Array());
    expect(await probe(file)).toMatchObject({ codec_name: 'mjpeg', width: 320, height: 240 });
    const rgb = await ffmpegTool('ffmpeg', ['-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']);
    const [red = 0, green = 0, blue = 0] = rgb.subarray((100 * 320 + 41) * 3);
    expect(red - green, 'red outline').toBeGreaterThan(60);
    expect(red - blue, 'red outline').toBeGreaterThan(60);
  });

  test('a capture is exactly the picture that is pushed next', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(320, 240)));
    const capture = { quality: 85, timeoutMs: 30_000 };
    rig.push();
    const drawn = rig.output.captureNext({ ...capture, drawn: true });
    const clean = rig.output.captureNext({ ...capture, drawn: false });
    rig.push({ boxes: [RED_BOX] });
    rig.push();
    const [boxed, plain] = await Promise.all([drawn, clean]);
    expect([boxed?.seq, plain?.seq]).toEqual([1n, 1n]);
    const red = async (jpeg: Uint8Array | undefined): Promise<number> => {
      const file = tempFile('picture.jpg', jpeg ?? new Uint8Array());
      const rgb = await ffmpegTool('ffmpeg', ['-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']);
      const at = (100 * 320 + 41) * 3;
      return (rgb[at] ?? 0) - (rgb[at + 1] ?? 0);
    };
    expect(await red(boxed?.jpeg)).toBeGreaterThan(60);
    expect(Math.abs(await red(plain?.jpeg))).toBeLessThan(10);
    expect(await rig.output.captureNext({ ...capture, drawn: true, timeoutMs: 1 })).toBeNull();
  });

  test.each(['I420', 'NV12'] as const)('masks and points are where they belong, and nowhere else: %s', async (pixelFormat) => {
    const rig = await OutputRig.open(outputOptions(frameFormat(320, 240, { pixelFormat })));
    rig.push();
    rig.push({ masks: [MASK], points: [{ xy: Float32Array.of(240, 60), color: 0x0000ff }] });
    await eventually('encoded frames', () => rig.encoded.length === 2);
    const snapshot = await rig.output.snapshot(95);
    expect(snapshot?.seq).toBe(1n);
    const file = tempFile('picture.jpg', snapshot?.jpeg ?? new Uint8Array());
    const rgb = await ffmpegTool('ffmpeg', ['-i', file, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']);
    const at = (x: number, y: number): [number, number, number] => {
      const [red = 0, green = 0, blue = 0] = rgb.subarray((y * 320 + x) * 3);
      return [red, green, blue];
    };
    // Cells of 40 × 40 from (40, 80): 2, 3, 4 of the first row and 0 of the second.
    const set = (x: number, y: number): boolean => {
      const [column, row] = [Math.floor((x - 40) / 40), Math.floor((y - 80) / 40)];
      return (row === 0 && column >= 2 && column < 5) || (row === 1 && column === 0);
    };
    for (let y = 10; y < 240; y += 20) {
      for (let x = 50; x < 320; x += 20) {
        const [red, green, blue] = at(x, y);
        if (Math.hypot(x - 240, y - 60) < 20) continue;
        expect(red - Math.max(green, blue) > 60, `${x}, ${y}: ${red} ${green} ${blue}`).toBe(set(x, y));
        if (!set(x, y)) expect(Math.max(red, green, blue) - Math.min(red, green, blue), `grey at ${x}, ${y}`).toBeLessThan(12);
      }
    }
    const [red, , blue] = at(240, 60);
    expect(blue - red, 'the point').toBeGreaterThan(60);
    const [far, , farBlue] = at(240, 66);
    expect(farBlue - far, 'beside the point').toBeLessThan(12);
  });

  test('wrong calls are refused with their codes', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(64, 64)));
    const heard = (): void => undefined;
    expect(codeOf(() => createOutput(outputOptions(frameFormat(64, 64), { encode: { preset: 'hasty' } }), heard))).toBe(
      'BAD_OPTIONS',
    );
    expect(codeOf(() => createOutput(outputOptions(frameFormat(0, 64)), heard))).toBe('BAD_OPTIONS');
    expect(codeOf(() => rig.output.push(4_000_000, 0n, 0n, NOTHING))).toBe('FRAME_RELEASED');
    expect(codeOf(() => rig.output.push(1, 0n, 0n, null as never))).toBe('BAD_ARGUMENT');
    const wrong: Record<string, unknown>[] = [
      { boxes: null },
      { boxes: [{ ...RED_BOX, x: 'left' }] },
      { boxes: [{ ...RED_BOX, part: undefined }] },
      { masks: [{ ...MASK, runs: [1, 2] }] },
      { masks: [{ ...MASK, runs: Int32Array.of(1, 2) }] },
      { masks: [{ ...MASK, columns: -1 }] },
      { masks: [{ ...MASK, label: null }] },
      { points: [{ xy: Float64Array.of(1, 2), color: 0 }] },
      { concealed: [{ x: 0, y: 0, width: 9, height: 9, with: 'veil' }] },
      { concealed: undefined },
      { lines: [{ xy: [1, 2, 3, 4], color: 0, fades: false }] },
      { lines: [{ xy: Float32Array.of(1, 2, 3, 4), color: 0 }] },
      { texts: [{ x: 0, y: 0, text: 3, color: 0 }] },
      { lineWidth: -2 },
      { fontSize: 1.5 },
    ];
    for (const part of wrong) {
      expect(codeOf(() => rig.output.push(1, 0n, 0n, { ...NOTHING, ...part })), JSON.stringify(part)).toBe('BAD_ARGUMENT');
    }
  });

  test('works in a worker thread, which may end with it open', async () => {
    const options = JSON.stringify(outputOptions(frameFormat(64, 64)));
    const code = `
      const addon = require(${JSON.stringify(addonPath())});
      globalThis.output = addon.createOutput(${options}, () => undefined);
      globalThis.server = addon.createRtspServer(
        { host: '127.0.0.1', port: 0, maxClients: 2, transports: ['tcp'], sessionTimeoutMs: 60_000, users: [], tls: null },
        () => undefined,
      );
      server.mount('gate', output);
      globalThis.viewer = output.openViewer(() => undefined);
      require('node:worker_threads').parentPort.postMessage('open');`;
    for (let n = 0; n < 3; n++) {
      const worker = new Worker(code, { eval: true });
      await new Promise((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
      expect(await worker.terminate()).toBe(1);
    }
  });
});

describe('viewers', () => {
  test('get fragmented MP4 that ffprobe reads, and see the boxes', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(320, 240)));
    rig.roll({ boxes: [RED_BOX] });
    await eventually('frames', () => rig.encoded.length > 10);
    const { viewer, data, events } = watch(rig.output);
    await eventually('fragments', () => data.length > 30);
    viewer.close();
    const heard = events.length;
    expect(events[0]).toMatchObject({ type: 'data', init: true });
    expect(events.slice(1).every((event) => event.type === 'data' && !event.init)).toBe(true);
    const file = tempFile('viewer.mp4', Buffer.concat(data));
    const stream = await probe(file, ['-count_frames']);
    expect(stream).toMatchObject({ codec_name: 'h264', width: 320, height: 240, r_frame_rate: '25/1' });
    expect(Number(stream['start_time'])).toBe(0);
    expect(Number(stream['nb_read_frames'])).toBe(data.length - 1);
    const rgb = await ffmpegTool('ffmpeg', [
      '-i', file, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-',
    ]);
    const [red = 0, green = 0] = rgb.subarray((100 * 320 + 41) * 3);
    expect(red - green, 'red outline').toBeGreaterThan(60);
    await sleep(100);
    expect(events.length, 'silent after close').toBe(heard);
  });

  test('who does not acknowledge is cut; the others see on', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(1280, 720), { encode: { bitrateKbps: 40_000 }, queue: 8 }));
    const reader = watch(rig.output);
    const events: ViewerEvent[] = [];
    const stuck = rig.output.openViewer((event) => events.push(event));
    stuck.acknowledge(0);
    // A picture that changes all over, so that the limit is reached soon.
    const boxes = (): typeof RED_BOX[] =>
      Array.from({ length: 400 }, () => ({
        x: Math.random() * 1200,
        y: Math.random() * 680,
        width: 60,
        height: 40,
        label: '',
        color: Math.floor(Math.random() * 0xffffff),
        part: false,
      }));
    await eventually(
      'the end of the stuck viewer',
      () => {
        rig.push({ boxes: boxes() });
        return events.some(({ type }) => type === 'end');
      },
      { timeoutMs: 60_000, everyMs: 5 },
    );
    expect(events.at(-1)).toEqual({ type: 'end', reason: 'slow' });
    const seen = reader.data.length;
    for (let n = 0; n < 20; n++) {
      rig.push();
      await sleep(10);
    }
    await eventually('more data', () => reader.data.length > seen + 5);
    await rig.output.close();
    await eventually('the end', () => reader.events.at(-1)?.type === 'end');
    reader.viewer.close();
    stuck.close();
  });
});

describe('RTSP', () => {
  test('ffprobe sees H.264 of the right size and rate over TCP; two clients cost one encode', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(640, 360)));
    const server = rtspServer();
    server.mount('gate', rig.output);
    const stop = rig.roll();
    await eventually('frames', () => rig.encoded.length > 2);
    const url = `rtsp://127.0.0.1:${server.port}/gate`;
    const tcp = ['-rtsp_transport', 'tcp'];
    const both = await Promise.all([probe(url, tcp), probe(url, tcp)]);
    for (const stream of both) {
      expect(stream).toMatchObject({ codec_name: 'h264', width: 640, height: 360 });
      expect(stream['r_frame_rate']).toBe('25/1');
    }
    const raw = await ffmpegTool('ffmpeg', [...tcp, '-i', url, '-frames:v', '10', '-f', 'rawvideo', '-']);
    expect(raw.length).toBe((10 * 640 * 360 * 3) / 2);
    await eventually('no clients', () => server.clients() === 0);
    stop();
    await rig.output.close();
    expect(rig.encoded.length).toBe(rig.pushed);
  });

  test('answers 503 at once without a picture, 404 without a mount', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(64, 64)));
    const server = rtspServer();
    server.mount('gate', rig.output);
    const at = performance.now();
    const url = `rtsp://127.0.0.1:${server.port}`;
    await expect(probe(`${url}/gate`, ['-rtsp_transport', 'tcp'])).rejects.toThrow('503');
    await expect(probe(`${url}/yard`, ['-rtsp_transport', 'tcp'])).rejects.toThrow('404');
    expect(performance.now() - at).toBeLessThan(10_000);
    expect(codeOf(() => server.mount('gate', rig.output))).toBe('RTSP_MOUNT');
    expect(codeOf(() => rtspServer(server.port))).toBe('RTSP_PORT_IN_USE');
  });

  test('closes with a client connected', async () => {
    const rig = await OutputRig.open(outputOptions(frameFormat(320, 240)));
    const server = rtspServer();
    server.mount('gate', rig.output);
    rig.roll();
    await eventually('frames', () => rig.encoded.length > 2);
    const url = `rtsp://127.0.0.1:${server.port}/gate`;
    const client = ffmpegTool('ffmpeg', ['-rtsp_transport', 'tcp', '-i', url, '-f', 'null', '-']);
    client.catch(() => undefined);
    await eventually('a client', () => server.clients() === 1);
    await sleep(300);
    const at = performance.now();
    await server.close();
    await server.close();
    expect(performance.now() - at).toBeLessThan(3_000);
    await client.catch(() => undefined);
  });
});

test('a hundred outputs with viewers and mounts leave nothing behind', async () => {
  const server = rtspServer();
  const count = (): [number, number] => [
    readdirSync('/proc/self/fd').length,
    readdirSync('/proc/self/task').length,
  ];
  const rig = await OutputRig.open(outputOptions(frameFormat(64, 64)));
  rig.roll();
  const round = async (n: number): Promise<void> => {
    const output = createOutput(outputOptions(frameFormat(64, 64)), () => undefined);
    server.mount(`gate-${n}`, output);
    const viewer = watch(n % 2 === 0 ? output : rig.output).viewer;
    if (n % 10 === 1) await sleep(30);
    viewer.close();
    server.unmount(`gate-${n}`);
    await output.close();
  };
  for (let n = 0; n < 10; n++) await round(n);
  await sleep(200);
  const [files, threads] = count();
  const memory = process.memoryUsage().rss;
  for (let n = 0; n < 100; n++) await round(n);
  await eventually('no files and threads more than before', () => {
    const [filesNow, threadsNow] = count();
    return filesNow <= files + 2 && threadsNow <= threads + 2;
  });
  expect(process.memoryUsage().rss - memory).toBeLessThan(60e6);
});
