import type { Clip } from './clip.js';
import { commandCpuSeconds } from './command_cpu.js';

const pipeline = (clip: string, ...tail: string[]): string[] =>
  ['gst-launch-1.0', '-q', 'uridecodebin3', `uri=file://${clip}`, '!', ...tail];

/** CPU milliseconds a frame of `gst-launch … ! fakesink`, start-up taken off. */
export async function bareDecodeCpuMs({ file, frames }: Clip): Promise<number> {
  const all = await commandCpuSeconds(pipeline(file, 'fakesink', 'sync=false'));
  const start = await commandCpuSeconds(
    pipeline(file, 'identity', 'eos-after=2', '!', 'fakesink', 'sync=false'),
  );
  return ((all - start) / (frames - 1)) * 1000;
}
