import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** What ffprobe says of a clip's first video track. */
export interface Clip {
  file: string;
  frames: number;
  /** As a fraction, for caps: "10/1". */
  frameRate: string;
}

export async function probeClip(file: string): Promise<Clip> {
  const { stdout } = await promisify(execFile)('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v:0', '-count_packets', '-of', 'json'],
    ...['-show_entries', 'stream=nb_read_packets,r_frame_rate', file],
  ]);
  const { streams } = JSON.parse(stdout) as {
    streams: { nb_read_packets: string; r_frame_rate: string }[];
  };
  const [video] = streams;
  if (video === undefined) throw new Error(`${file}: no video track`);
  return { file, frames: Number(video.nb_read_packets), frameRate: video.r_frame_rate };
}

/** Frames in a second. */
export function framesPerSecond({ frameRate }: Clip): number {
  const [numerator = 0, denominator = 1] = frameRate.split('/').map(Number);
  return numerator / denominator;
}
