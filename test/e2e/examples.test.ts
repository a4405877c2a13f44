import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import type { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { CaptureTimeSource } from '#proto/framebus/frame/v1/frame.js';
import { SAMPLE_CLIP } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { ffmpegTool, probe } from '../helpers/output_rig.js';
import { Pipeline } from '../helpers/pipeline.js';
import { runNode, type TestProcess } from '../helpers/process.js';
import { rgbFrames, type RgbPicture } from '../helpers/raw_video.js';

const WIDTH = 768;
const HEIGHT = 576;
/** Frames of the clip. */
const CLIP_FRAMES = 795;
/** Side of the box that inject-frames draws at the top, in pixels. */
const SIDE = 64;
const TCP = ['-rtsp_transport', 'tcp'];

const STREAMS = {
  gate: { source: SAMPLE_CLIP, loop: true },
  synthetic: { source: 'bus://synthetic' },
};

const example = (pipeline: Pipeline, name: string, ...args: string[]): TestProcess =>
  runNode([`examples/${name}.mjs`, '--config', pipeline.config, ...args]);

/** Mean difference of two pictures' samples, 0–255; every 7th one is looked at. */
function difference(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < a.length; i += 7, count++) sum += Math.abs(a[i]! - b[i]!);
  return sum / count;
}

/** The longest run of bright green in a row of pixels near the top; labels may cover a part of the box. */
function greenBox(rgb: Uint8Array): { left: number; width: number } {
  let best = { left: 0, width: 0 };
  for (let row = 8; row < SIDE - 8; row += 4) {
    for (let column = 0, run = 0; column < WIDTH; column++) {
      const at = (row * WIDTH + column) * 3;
      const isGreen = rgb[at]! < 90 && rgb[at + 1]! > 170 && rgb[at + 2]! < 90;
      run = isGreen ? run + 1 : 0;
      if (run > best.width) best = { left: column - run + 1, width: run };
    }
  }
  return best;
}

describe('examples', () => {
  it('save-frames: every 20th frame is a PNG that shows what another decoder makes of it', async () => {
    const pipeline = await Pipeline.create({ streams: { gate: { ...STREAMS.gate, model: null } } });
    await Promise.all([pipeline.run('ingest'), pipeline.run('sink')]);
    const out = join(pipeline.folder, 'frames');
    const program = example(pipeline, 'save-frames', 'gate', '--every', '20', '--count', '4', '--out', out, '--lossless');
    expect(await program.exitCode(), program.stderr).toBe(0);
    const files = program.stdout.trim().split('\n');
    const seqs = files.map((file) => Number(/^gate-(\d{8})\.png$/.exec(basename(file))![1]));
    expect(seqs).toHaveLength(4);
    // The first one is where the program came in.
    expect(seqs.slice(1).every((seq) => seq % 20 === 0)).toBe(true);
    expect(seqs.slice(2).map((seq, i) => seq - seqs[i + 1]!)).toEqual([20, 20]);

    const clip: RgbPicture[] = [];
    for await (const picture of rgbFrames(SAMPLE_CLIP, (seqs.at(-1)! % CLIP_FRAMES) + 3)) clip.push(picture);
    for (const [i, file] of files.entries()) {
      const png = decode(readFileSync(file));
      expect(png).toMatchObject({ width: WIDTH, height: HEIGHT, channels: 3, depth: 8 });
      const data = Uint8Array.from(png.data);
      const of = (offset: number): number => difference(data, clip[(seqs[i]! % CLIP_FRAMES) + offset]!.data);
      expect(of(0), `frame ${seqs[i]}`).toBeLessThan(2);
      // The pictures next to it are further away.
      expect(of(0)).toBeLessThan(Math.min(of(1), of(2)) / 1.2);
    }
  }, 120_000);

  it('inject-frames: synthetic frames come out of RTSP, with detections', async () => {
    const pipeline = await Pipeline.create({ streams: STREAMS });
    await pipeline.runAll();
    const program = example(pipeline, 'inject-frames', '--from', 'gate');
    const records = (): DetectionRecord[] => pipeline.records.filter(({ streamId }) => streamId === 'synthetic');
    const seen = (): DetectionRecord[] =>
      records().filter(({ status }) => status === InferenceStatus.INFERENCE_STATUS_INFERRED);
    await eventually(
      () => `10 frames with persons; ${records().length} records, ${seen().length} looked at\n${program.stderr}\n${pipeline.output()}`,
      () => seen().filter(({ detections }) => detections.some(({ label }) => label === 'person')).length >= 10,
      { timeoutMs: 60_000 },
    );
    const url = `${pipeline.address('rtsp')}/synthetic`;
    await eventually('pictures by RTSP', async () => (await probe(url, TCP))['width'] === WIDTH, { timeoutMs: 30_000 });
    const raw = ['-vsync', 'passthrough', '-frames:v', '12', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
    const video = await ffmpegTool('ffmpeg', [...TCP, '-i', url, ...raw]);
    const size = WIDTH * HEIGHT * 3;
    const boxes = Array.from({ length: 12 }, (_, i) => greenBox(video.subarray(i * size)));
    for (const box of boxes) {
      expect(box.width).toBeGreaterThan(SIDE - 8);
      expect(box.width).toBeLessThan(SIDE + 8);
    }
    expect(new Set(boxes.map((box) => box.left)).size).toBeGreaterThan(3);

    program.kill('SIGTERM');
    expect(await program.exitCode(), program.stderr).toBe(0);
    const epochs = new Set(records().map(({ epoch }) => epoch?.uuid));
    expect(epochs.size).toBe(1);
    // The program says when they were captured.
    expect(new Set(records().map(({ captureTime }) => captureTime?.source))).toEqual(new Set([CaptureTimeSource.CAPTURE_TIME_SOURCE_PRODUCER]));
    const seqs = records().map(({ seq }) => Number(seq));
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    expect(new Set(seqs).size).toBe(seqs.length);
  }, 180_000);
});
