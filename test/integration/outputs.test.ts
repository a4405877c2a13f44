import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { ffmpegTool, probe } from '../helpers/output_rig.js';
import { ROOT } from '../helpers/process.js';
import { recordedLines, recordedPackets, recordedVideos } from '../helpers/recorded.js';
import { LOSSLESS, SinkRig, TestProducer, type SinkAddresses, type SinkRigOptions } from '../helpers/sink_rig.js';
import { tempFile, tempFolder } from '../helpers/temp.js';

const run = promisify(execFile);
/** A busy machine needs long. */
const PATIENCE = { timeoutMs: 60_000 };
const TCP = ['-rtsp_transport', 'tcp'];
const OUTPUTS = ['{name: clean, width: 160}', '{name: large, draw: true, width: 480, bitrate_kbps: 2000}'];

async function rigWith(options: SinkRigOptions, streams = ['gate']): Promise<SinkRig> {
  return SinkRig.at((await natsServer()).url, streams, { outputs: OUTPUTS, ...options });
}

interface Rgb {
  width: number;
  height: number;
  pixels: Buffer;
}

/** The first picture of a file or stream. */
async function picture(source: string, ...options: string[]): Promise<Rgb> {
  const { width, height } = (await probe(source, options)) as { width: number; height: number };
  const pixels = await ffmpegTool('ffmpeg', [...options, '-i', source, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']);
  return { width, height, pixels };
}

/** Share of the pixels that are coloured: frames are grey, so these were drawn. */
function drawn({ pixels }: Rgb): number {
  let count = 0;
  for (let at = 0; at < pixels.length; at += 3) {
    const [red = 0, green = 0, blue = 0] = pixels.subarray(at, at + 3);
    if (Math.max(red, green, blue) - Math.min(red, green, blue) > 60) count++;
  }
  return (3 * count) / pixels.length;
}

/** Mean of what is within the car's box, which stands still at (150, 90), 60 × 30 of 320 × 240. */
function carLuma({ width, pixels }: Rgb): number {
  const scale = width / 320;
  const values: number[] = [];
  for (let y = Math.ceil(94 * scale); y < 116 * scale; y++) {
    for (let x = Math.ceil(156 * scale); x < 204 * scale; x++) values.push(pixels[(y * width + x) * 3 + 1] ?? 255);
  }
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function metrics(addresses: SinkAddresses): Promise<(...labels: string[]) => number> {
  const text = await (await fetch(new URL('/metrics', addresses.page))).text();
  return (...labels) => {
    const line = text.split('\n').find((one) => labels.every((label) => one.includes(label)));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
}

test('further outputs have their own size and drawing, by RTSP, on the page and in snapshots; all are concealed', async () => {
  const rig = await rigWith({ osd: 'conceal: {labels: [car], with: fill}' });
  const { addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate');
  const still = async (query: string): Promise<Rgb | number> => {
    const answer = await fetch(`${addresses.page}streams/gate/snapshot.jpg${query}`);
    return answer.ok ? picture(tempFile('still.jpg', Buffer.from(await answer.arrayBuffer()))) : answer.status;
  };
  await eventually('pictures of all outputs', async () => {
    const taken = await Promise.all(['', '?output=clean', '?output=large'].map(still));
    return taken.every((one) => typeof one !== 'number' && carLuma(one) < 30);
  }, PATIENCE);

  const live = await fetch(`${addresses.page}streams/gate/live.mp4?output=clean`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of live.body as unknown as AsyncIterable<Uint8Array>) if (chunks.push(chunk) > 8) break;
  const cli = join(tempFolder(), 'clean.jpg');
  const args = ['cli/framebus.mjs', 'snapshot', 'gate', cli, '-a', addresses.grpc, '--output', 'large', '--clean'];
  const { stdout } = await run(process.execPath, args, { cwd: ROOT });
  expect(stdout).toMatch(/clean\.jpg: large, frame \d+, 2 detections\n$/);

  const mounts = ['gate', 'gate/clean', 'gate/large'].map((mount) => picture(`${addresses.rtsp}/${mount}`, ...TCP));
  const [annotated = 0, clean = 0, large = 0] = await Promise.all(mounts);
  const seen: [string, Rgb | number, width: number, isDrawn: boolean][] = [
    ['RTSP', annotated, 320, true],
    ['RTSP, clean', clean, 160, false],
    ['RTSP, large', large, 480, true],
    ['page, clean', await picture(tempFile('live.mp4', Buffer.concat(chunks))), 160, false],
    ['snapshot', await still(''), 320, true],
    ['clean snapshot', await still('?clean=1'), 320, false],
    ['snapshot of clean', await still('?output=clean'), 160, false],
    ['snapshot of large', await still('?output=large'), 480, true],
    ['command', await picture(cli), 480, false],
  ];
  for (const [what, shown, width, isDrawn] of seen) {
    if (typeof shown === 'number') throw new Error(`${what}: ${shown}`);
    expect([shown.width, shown.height], what).toEqual([width, (width * 3) / 4]);
    expect(carLuma(shown), what).toBeLessThan(30);
    if (isDrawn) expect(drawn(shown), what).toBeGreaterThan(0.005);
    else expect(drawn(shown), what).toBe(0);
  }
  for (const [query, status] of [['?output=none', 404], ['?clean=yes', 400]] as const) expect(await still(query)).toBe(status);
  expect((await fetch(`${addresses.page}streams/gate/live.mp4?output=none`)).status).toBe(404);
  await expect(picture(`${addresses.rtsp}/gate/none`, ...TCP)).rejects.toThrow('404');
  await eventually('its outputs in the status', async () => {
    const { streams } = (await (await fetch(`${addresses.page}api/status`)).json()) as { streams: { outputs: string[] }[] };
    return streams[0]?.outputs.join() === 'clean,large';
  }, PATIENCE);
  const counted = await metrics(addresses);
  expect(counted('framebus_output_frames_total{', 'output="clean"', 'outcome="out"')).toBeGreaterThan(0);
  expect(counted('framebus_output_bytes_total{', 'output="large"')).toBeGreaterThan(0);
});

test('every frame of a lossless stream comes out of every output, and the output that is asked for is recorded', async () => {
  const root = tempFolder();
  const rig = await rigWith({ recordings: { root, record: 'output: clean' } }, [LOSSLESS]);
  const { process: sink, addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play(LOSSLESS, { count: 150, fps: 500, wait: true });
  await eventually('every frame has come out of all outputs', async () => {
    const counted = await metrics(addresses);
    const out = [counted('framebus_frames_total{', 'outcome="out"'), ...['clean', 'large'].map((name) => counted('framebus_output_frames_total{', name, '"out"'))];
    return out.every((count) => count === 150);
  }, PATIENCE);
  sink.kill('SIGTERM');
  expect(await sink.exitCode(), sink.stderr).toBe(0);

  const videos = recordedVideos(join(root, LOSSLESS));
  expect(videos).toHaveLength(1);
  const [video = ''] = videos;
  expect(await probe(video)).toMatchObject({ width: 160, height: 120 });
  const lines = recordedLines(video);
  expect(lines.map(({ record }) => Number(record.seq))).toEqual(Array.from({ length: 150 }, (_, n) => n));
  expect((await recordedPackets(video)).map(({ pts }) => pts)).toEqual(lines.map(({ pts }) => pts));
});
