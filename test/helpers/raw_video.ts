import { spawn, spawnSync } from 'node:child_process';

/** A picture as ffmpeg gives it: rows of R, G, B without gaps. */
export interface RgbPicture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** Whether the plain decoder that reference runs need is here. */
export const hasFfmpeg = (): boolean =>
  ['ffmpeg', 'ffprobe'].every((command) => spawnSync(command, ['-version']).status === 0);

/** Size of the first video stream. */
export function probeSize(file: string): { width: number; height: number } {
  const entries = ['-show_entries', 'stream=width,height', '-of', 'csv=p=0'];
  const { stdout, stderr } = spawnSync('ffprobe', ['-v', 'error', '-select_streams', 'v:0', ...entries, file], { encoding: 'utf8' });
  const [width, height] = stdout.trim().split(/[,\n]/).map(Number);
  if (!width || !height) throw new Error(`ffprobe ${file}: ${stdout} ${stderr}`);
  return { width, height };
}

/** Decodes a clip or a picture with ffmpeg, frame by frame, every frame once. */
export async function* rgbFrames(file: string, maxFrames = Number.POSITIVE_INFINITY): AsyncGenerator<RgbPicture> {
  const { width, height } = probeSize(file);
  const arguments_ = ['-v', 'error', '-i', file, '-vsync', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
  const ffmpeg = spawn('ffmpeg', arguments_, { stdio: ['ignore', 'pipe', 'inherit'] });
  const size = width * height * 3;
  let picture = Buffer.alloc(size);
  let filled = 0;
  let frames = 0;
  try {
    for await (const chunk of ffmpeg.stdout as AsyncIterable<Buffer>) {
      for (let from = 0; from < chunk.length; ) {
        const taken = chunk.copy(picture, filled, from);
        from += taken;
        filled += taken;
        if (filled < size) continue;
        yield { width, height, data: picture };
        if (++frames >= maxFrames) return;
        picture = Buffer.alloc(size);
        filled = 0;
      }
    }
  } finally {
    ffmpeg.kill();
  }
}
