import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PacedBlock } from './block.js';
import { FRAME_SIZES, frameBytes } from './frame_sizes.js';
import { COUNTED_SINK, GstPipeline } from './gst_pipeline.js';

/** CPU microseconds of a 1080p frame from shmsink to shmsrc, both processes; the source's own are taken off. */
export interface ShmsinkCost {
  /**
   * With the one copy into shmsink's memory that a frame in ordinary memory needs.
   * Here shmsink makes it; avdec_h264 would make it by itself, because shmsink
   * cannot describe the edges of a decoder's own frames.
   */
  copiedUs: number;
  /** Without any: the frame was written into shmsink's memory from the start. */
  inPlaceUs: number;
}

const FORMAT = FRAME_SIZES['1080p'];
const SHM_FRAMES = 16;
const FRAMES_DEADLINE_MS = 10_000;
const POLL_MS = 10;

/**
 * Debian's GStreamer as a user gets it: `… ! shmsink` in one process, `shmsrc ! …`
 * in another. Making pixels is no share of this: videotestsrc makes one
 * picture, and imagefreeze sends that buffer again and again, paced by the clock.
 * What imagefreeze and the counting sink cost is measured without shmsink and
 * shmsrc, in the same block, and taken off.
 */
export async function shmsinkCost(block: PacedBlock, folder: string): Promise<ShmsinkCost> {
  const source = await sourceUs(block);
  const copied = await transportUs(block, folder, 'ordinary');
  const inPlace = await transportUs(block, folder, 'shmsink');
  return { copiedUs: copied - source, inPlaceUs: inPlace - source };
}

/** The same buffer at an even rate; it lies in ordinary memory, or in what shmsink offers. */
function source({ perSecond }: PacedBlock, memory: 'ordinary' | 'shmsink'): string[] {
  const caps = `video/x-raw,format=${FORMAT.pixelFormat},width=${FORMAT.width},height=${FORMAT.height}`;
  return [
    ...['videotestsrc', 'num-buffers=1', '!', caps, '!'],
    ...(memory === 'ordinary' ? ['identity', 'drop-allocation=true', '!'] : []),
    ...['imagefreeze', 'is-live=true', '!', `${caps},framerate=${perSecond}/1`, '!'],
  ];
}

async function sourceUs(block: PacedBlock): Promise<number> {
  const pipeline = new GstPipeline([...source(block, 'ordinary'), ...COUNTED_SINK]);
  try {
    return await sample(block, pipeline, [pipeline]);
  } finally {
    await pipeline.end();
  }
}

async function transportUs(block: PacedBlock, folder: string, memory: 'ordinary' | 'shmsink'): Promise<number> {
  const socket = path.join(folder, 'shmsink');
  rmSync(socket, { force: true });
  const area = [`socket-path=${socket}`, `shm-size=${frameBytes(FORMAT) * SHM_FRAMES}`];
  const sender = new GstPipeline([...source(block, memory), 'shmsink', ...area, 'sync=false']);
  const pipelines = [sender];
  try {
    await until('the socket of shmsink', () => sender.cpuUs() > 0 && existsSync(socket));
    const receiver = new GstPipeline(['shmsrc', `socket-path=${socket}`, 'is-live=true', '!', ...COUNTED_SINK]);
    // The receiver is ended first: shmsink complains of nothing then.
    pipelines.unshift(receiver);
    return await sample(block, receiver, pipelines);
  } finally {
    for (const pipeline of pipelines) await pipeline.end();
  }
}

/** CPU microseconds of all pipelines for each frame that arrives in one of them. */
async function sample(block: PacedBlock, arrival: GstPipeline, all: readonly GstPipeline[]): Promise<number> {
  const frames = (): number => Math.floor(arrival.bytesOut() / frameBytes(FORMAT));
  const cpuUs = (): number => all.reduce((sum, pipeline) => sum + pipeline.cpuUs(), 0);
  await until('frames from gst-launch', () => frames() >= block.warmUp);
  const before = { frames: frames(), cpuUs: cpuUs() };
  // On a busy machine imagefreeze leaves frames out; CPU is counted by those that came.
  await until('frames from gst-launch', () => frames() >= before.frames + block.frames);
  const after = { frames: frames(), cpuUs: cpuUs() };
  return (after.cpuUs - before.cpuUs) / (after.frames - before.frames);
}

async function until(what: string, ready: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + FRAMES_DEADLINE_MS;
  while (!ready()) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not there after ${FRAMES_DEADLINE_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}
