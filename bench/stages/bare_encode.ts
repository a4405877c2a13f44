import { stat } from 'node:fs/promises';
import path from 'node:path';
import { framesPerSecond, type Clip } from './clip.js';
import { commandCpuSeconds } from './command_cpu.js';

export interface BareEncodeOptions {
  clip: Clip;
  width: number;
  height: number;
  bitrateKbps: number;
  preset: string;
  keyframeIntervalMs: number;
  /** Folder for the raw frames. */
  directory: string;
}

/** CPU milliseconds a frame of x264enc on the clip's own frames; reading them is taken off. */
export async function bareEncodeCpuMs(options: BareEncodeOptions): Promise<number> {
  const { clip, width, height, directory } = options;
  const raw = path.join(directory, 'frames.i420');
  await commandCpuSeconds([
    ...['gst-launch-1.0', '-q', 'uridecodebin3', `uri=file://${clip.file}`, '!', 'videoconvert', '!'],
    ...['video/x-raw,format=I420', '!', 'identity', 'eos-after=301', '!', 'filesink', `location=${raw}`],
  ]);
  const frameBytes = (width * height * 3) / 2;
  const frames = (await stat(raw)).size / frameBytes;
  const read = [
    ...['gst-launch-1.0', '-q', 'filesrc', `location=${raw}`, `blocksize=${frameBytes}`, '!'],
    ...['rawvideoparse', `width=${width}`, `height=${height}`, 'format=i420'],
    ...[`framerate=${clip.frameRate}`, '!'],
  ];
  const keyframeFrames = Math.round((framesPerSecond(clip) * options.keyframeIntervalMs) / 1000);
  const encode = [
    ...['x264enc', 'tune=zerolatency', `speed-preset=${options.preset}`, 'bframes=0'],
    ...[`bitrate=${options.bitrateKbps}`, `key-int-max=${keyframeFrames}`, '!'],
  ];
  const sink = ['fakesink', 'sync=false'];
  const encoding = await commandCpuSeconds([...read, ...encode, ...sink]);
  const reading = await commandCpuSeconds([...read, ...sink]);
  return ((encoding - reading) / frames) * 1000;
}
