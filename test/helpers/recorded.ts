import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { ffmpegTool } from './output_rig.js';

/** A line of a sidecar. */
export interface RecordedLine {
  frame: number;
  pts: number;
  timeNs: string;
  keyframe: boolean;
  bytes: number;
  record: DetectionRecord;
}

export interface RecordedPacket {
  pts: number;
  size: number;
  keyframe: boolean;
}

/** Videos in a folder, oldest first; none when it is not there. */
export function recordedVideos(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.mp4'))
    .sort()
    .map((name) => join(folder, name));
}

/** The whole lines beside a video. */
export function recordedLines(video: string): RecordedLine[] {
  const lines = readFileSync(video.replace(/mp4$/, 'jsonl'), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => {
    const { record, ...rest } = JSON.parse(line) as Omit<RecordedLine, 'record'> & { record: unknown };
    return { ...rest, record: DetectionRecord.fromJSON(record) };
  });
}

/** What ffprobe finds in a video. */
export async function recordedPackets(video: string): Promise<RecordedPacket[]> {
  const out = await ffmpegTool('ffprobe', ['-select_streams', 'v', '-show_entries', 'packet=pts,size,flags', '-of', 'json', video]);
  const { packets } = JSON.parse(out.toString()) as { packets: { pts: number; size: string; flags: string }[] };
  return packets.map(({ pts, size, flags }) => ({ pts, size: Number(size), keyframe: flags.startsWith('K') }));
}

/** Every picture of a video, decoded: its luma, tightly packed. */
export async function recordedPictures(video: string, bytes: number): Promise<Buffer[]> {
  const raw = await ffmpegTool('ffmpeg', ['-i', video, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'gray', '-']);
  return Array.from({ length: raw.length / bytes }, (_, n) => raw.subarray(n * bytes, (n + 1) * bytes));
}

/** Each line says of its frame what the file says, in the file's order. */
export async function expectMatch(video: string, lines: readonly RecordedLine[]): Promise<void> {
  const packets = await recordedPackets(video);
  expect(lines.map(({ frame }) => frame)).toEqual(lines.map((_, n) => n));
  expect(lines.map(({ pts, bytes, keyframe }) => ({ pts, size: bytes, keyframe }))).toEqual(packets);
  for (const { pts, timeNs } of lines) expect(Math.abs(pts - Number(timeNs) * 9e-5)).toBeLessThanOrEqual(0.5);
}

/** Mean luma of the rows of TestProducer's square, where it would be in frame `seq`; it moves by 8 pixels a frame. */
function squareLuma(luma: Buffer, width: number, height: number, seq: number): number {
  const side = height / 4;
  const left = (seq * 8) % (width - side);
  let sum = 0;
  for (let y = side + 8; y < 2 * side - 8; y++) {
    for (let x = left; x < left + side; x++) sum += luma[y * width + x] ?? 0;
  }
  return sum / (side * (side - 16));
}

/** The picture is that of TestProducer's frame `seq`, and not of one beside it. */
export function expectIsFrame(luma: Buffer, width: number, height: number, seq: number): void {
  const near = [-2, -1, 0, 1, 2].map((step) => squareLuma(luma, width, height, Math.max(0, seq + step)));
  expect(Math.max(...near), `the picture is frame ${String(seq)}`).toBe(near[2]);
}
