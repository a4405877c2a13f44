import { spawnSync } from 'node:child_process';
import type { FrameFormat } from '../../native/contract.js';
import { probeSize, rgbFrames, type RgbPicture } from './raw_video.js';

/** A picture as a decoder gives it, and as RGB; both from ffmpeg. */
export interface Photo {
  format: FrameFormat;
  /** Y, U, V. */
  planes: { data: Uint8Array; stride: number }[];
  rgb: RgbPicture;
}

/** A picture, or the first frame of a clip: 4:2:0, BT.601, full range. Width and height must be even. */
export async function readPhoto(file: string): Promise<Photo> {
  const { width, height } = probeSize(file);
  const arguments_ = ['-v', 'error', '-i', file, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'yuvj420p', '-'];
  const { stdout, stderr } = spawnSync('ffmpeg', arguments_, { maxBuffer: 1 << 26 });
  const luma = width * height;
  if (stdout.length !== (luma * 3) / 2) throw new Error(`ffmpeg ${file}: ${stderr.toString()}`);
  for await (const rgb of rgbFrames(file, 1)) {
    return {
      format: {
        width,
        height,
        pixelFormat: 'I420',
        matrix: 'bt601',
        range: 'full',
        frameRateNumerator: 0,
        frameRateDenominator: 1,
        pixelAspectNumerator: 1,
        pixelAspectDenominator: 1,
      },
      planes: [
        { data: stdout.subarray(0, luma), stride: width },
        { data: stdout.subarray(luma, (luma * 5) / 4), stride: width / 2 },
        { data: stdout.subarray((luma * 5) / 4), stride: width / 2 },
      ],
      rgb,
    };
  }
  throw new Error(`ffmpeg ${file}: there is no picture`);
}
