import { ffmpegTool } from './output_rig.js';

/** What ffprobe says of a file. */
export interface ProbedFile {
  /** When each picture shows, in seconds, in order. */
  pictures: number[];
  /** When each packet of the first track of sound begins, in seconds, and its size in bytes. */
  sound: { time: number; bytes: number }[];
  codecs: string[];
}

export async function probed(file: string): Promise<ProbedFile> {
  const [streams, frames, packets] = await Promise.all([
    ffprobe<{ streams: { codec_name: string }[] }>(file, ['-show_entries', 'stream=codec_name']),
    ffprobe<{ frames: { best_effort_timestamp_time: string }[] }>(file, ['-select_streams', 'v:0', '-show_entries', 'frame=best_effort_timestamp_time']),
    ffprobe<{ packets?: { pts_time: string; size: string }[] }>(file, ['-select_streams', 'a:0', '-show_entries', 'packet=pts_time,size']),
  ]);
  return {
    pictures: frames.frames.map((frame) => Number(frame.best_effort_timestamp_time)),
    sound: (packets.packets ?? []).map(({ pts_time, size }) => ({ time: Number(pts_time), bytes: Number(size) })),
    codecs: streams.streams.map(({ codec_name }) => codec_name),
  };
}

async function ffprobe<T>(file: string, args: readonly string[]): Promise<T> {
  const out = await ffmpegTool('ffprobe', [...args, '-of', 'json', file]);
  return JSON.parse(out.toString()) as T;
}
