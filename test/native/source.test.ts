import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { FrameLease } from '../../native/contract.js';
import { createBusServer, createSource, monotonicNs, probeMedia } from '../../native/index.js';
import { hasTestData, probedClips, TEST_DATA } from '../helpers/data.js';
import { eventually } from '../helpers/eventually.js';
import { ROOT, TestProcess } from '../helpers/process.js';
import { hasFfmpeg } from '../helpers/raw_video.js';
import { fastFile, SourceRig } from '../helpers/source_rig.js';
import { tempFolder } from '../helpers/temp.js';
import { SERVER } from '../helpers/bus_options.js';

const PYTHON = '/usr/bin/python3';
const CAMERA = join(TEST_DATA, '..', 'tools', 'peers', 'rtsp_camera.py');

function makeClip(width: number, height: number, frames: number): string {
  const file = join(tempFolder(), 'clip.mp4');
  const picture = `video/x-raw,format=I420,framerate=30/1,width=${width},height=${height}`;
  const description = `videotestsrc pattern=zone-plate kx2=20 ky2=20 kt=2 num-buffers=${frames} ! ${picture} ! x264enc bframes=2 ref=4 ! h264parse ! mp4mux ! filesink location=${file}`;
  const { status, stderr } = spawnSync('gst-launch-1.0', ['-q', ...description.split(' ')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`gst-launch-1.0: ${stderr}`);
  return file;
}

/** MD5 of the pixels without padding, as ffmpeg's framemd5 has it. */
function md5(lease: FrameLease): string {
  const hash = createHash('md5');
  for (const plane of lease.planes()) {
    for (let row = 0; row < plane.height; ++row) {
      hash.update(plane.data.subarray(row * plane.stride, row * plane.stride + plane.width));
    }
  }
  return hash.digest('hex');
}

function ffmpegMd5(file: string): string[] {
  const arguments_ = ['-v', 'error', '-i', file, '-map', '0:v:0', '-vsync', 'passthrough', '-f', 'framemd5', '-'];
  const { stdout } = spawnSync('ffmpeg', arguments_, { encoding: 'utf8' });
  return stdout.split('\n').flatMap((line) => (line === '' || line.startsWith('#') ? [] : [line.split(',').at(-1)?.trim() ?? '']));
}

/** A real RTSP server of GStreamer's, in a process of its own. */
async function startCamera(): Promise<{ url: string; kill: () => void; freeze: () => void }> {
  const port = await new Promise<number>((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
  const camera = spawn(PYTHON, [CAMERA, String(port)], { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => {
    camera.kill('SIGKILL');
  });
  let said = '';
  camera.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  await eventually('the camera is ready', () => said.includes('ready'));
  return {
    url: `rtsp://127.0.0.1:${port}/cam`,
    kill: () => camera.kill('SIGKILL'),
    freeze: () => camera.kill('SIGSTOP'),
  };
}

const hasCamera = existsSync(CAMERA) && spawnSync(PYTHON, ['-c', "import gi; gi.require_version('GstRtspServer','1.0')"]).status === 0;

describe('a file', () => {
  it('reaches a consumer frame by frame, pixel by pixel', async ({ skip }) => {
    skip(!hasFfmpeg(), 'ffmpeg is not installed');
    const file = makeClip(854, 480, 45);
    const sums: string[] = [];
    const rig = new SourceRig(fastFile(file), (lease) => sums.push(md5(lease)));
    rig.source.start();
    await rig.over();
    expect(rig.of('error')).toEqual([]);
    expect(rig.refused).toBe(0);
    expect(sums).toEqual(ffmpegMd5(file));
    expect(sums).toHaveLength(45);
    const stats = rig.source.stats();
    expect(stats).toMatchObject({ framesDecoded: 45n, framesDirect: 45n, framesCopied: 0n, framesDropped: 0n });
  });

  it('announces its epoch before its frames, and numbers them', async () => {
    const rig = new SourceRig(fastFile(makeClip(322, 182, 30)), () => undefined);
    const before = monotonicNs();
    rig.source.start();
    await rig.over();
    const [epoch, ...rest] = rig.events;
    expect(epoch).toMatchObject({
      type: 'epoch',
      decoder: 'avdec_h264',
      format: { width: 322, height: 182, pixelFormat: 'I420', range: 'limited', frameRateNumerator: 30 },
    });
    const frames = rig.of('frame');
    expect(frames.map((frame) => frame.seq)).toEqual(Array.from({ length: 30 }, (_, i) => BigInt(i)));
    expect(rest.at(-1)).toEqual({ type: 'end' });
    for (const [index, frame] of frames.entries()) {
      expect(Number(frame.ptsNs)).toBeCloseTo((index * 1e9) / 30, -6);
      expect(frame.decodedMonotonicNs).toBeGreaterThan(before);
      expect(frame).toMatchObject({ captureSource: 'file', captureUncertaintyNs: 0n });
    }
  });

  it('waits in lossless mode, and closes at once while it waits', async () => {
    const rig = new SourceRig(fastFile(makeClip(322, 182, 120)), null);
    rig.source.start();
    await eventually('the pool is full', () => rig.of('frame').length >= 4);
    await sleep(300);
    const frames = rig.of('frame');
    expect(frames.length).toBeLessThan(120);
    const [first] = frames;
    if (first === undefined) throw new Error('no frame');
    const { epoch, slot, generation } = first;
    expect(rig.source.delivery(epoch, slot, generation, 'infer')).toBe('none');
    expect(rig.source.endDelivery(epoch, slot, generation, 'infer')).toBe('closed');
    await eventually('one more frame', () => rig.of('frame').length > frames.length);
    const started = performance.now();
    await Promise.all([rig.source.close(), rig.source.close()]);
    expect(performance.now() - started).toBeLessThan(2000);
    const events = rig.events.length;
    await sleep(200);
    expect(rig.events).toHaveLength(events);
    expect(rig.source.endDelivery(epoch, slot, generation, 'infer')).toBe('gone');
  });

  it('leaves nothing behind when it is opened and closed many times', async () => {
    const file = makeClip(322, 182, 60);
    const server = createBusServer({ directory: tempFolder(), producer: 'test', ...SERVER }, () => undefined);
    onTestFinished(() => server.close());
    const cycle = async (waitMs: number) => {
      const source = createSource(server, fastFile(file), () => undefined);
      source.start();
      await sleep(waitMs);
      await source.close();
    };
    const count = (folder: string) => readdirSync(`/proc/self/${folder}`).length;
    const settled = () => [count('fd'), count('task'), Math.round(process.memoryUsage().rss / 2 ** 20)] as const;
    for (let i = 0; i < 10; ++i) await cycle(i * 3);
    const [files, threads, mebibytes] = settled();
    for (let i = 0; i < 50; ++i) await cycle(i % 30);
    // The server lets go of drained pools on its own thread.
    await eventually(() => `no more files than ${files}, now ${count('fd')}`, () => count('fd') <= files + 1);
    const [, threadsAfter, mebibytesAfter] = settled();
    expect(threadsAfter).toBeLessThanOrEqual(threads + 3);
    expect(mebibytesAfter).toBeLessThan(mebibytes + 32);
  });
});

describe('what cannot be played', () => {
  it.each([
    ['/no/such/clip.mp4', 'SOURCE_NOT_FOUND', false],
    ['rtsp://user:secret@127.0.0.1:1/cam', 'SOURCE_UNREACHABLE', true],
    ['http://127.0.0.1:1/clip.mp4', 'SOURCE_UNREACHABLE', true],
  ])('%s is one error', async (uri, code, retryable) => {
    const rig = new SourceRig(fastFile(uri), () => undefined);
    rig.source.start();
    await rig.over();
    await sleep(200);
    expect(rig.events).toHaveLength(1);
    expect(rig.events[0]).toMatchObject({ type: 'error', code, retryable });
    expect(JSON.stringify(rig.events[0])).not.toContain('secret');
  });

  it('names the option that is wrong', () => {
    const server = createBusServer({ directory: tempFolder(), producer: 'test', ...SERVER }, () => undefined);
    onTestFinished(() => server.close());
    const create = (rest: object) => () => createSource(server, { ...fastFile('/x.mp4'), ...rest }, () => undefined);
    expect(create({ mode: 'fast' })).toThrow(/options\.mode/);
    expect(create({ slots: 0 })).toThrow(/options\.slots/);
    expect(create({ loop: 'yes' })).toThrow(/options\.loop/);
  });
});

describe.skipIf(!hasCamera)('a camera', () => {
  it('plays live, and says when it is gone', async () => {
    const camera = await startCamera();
    const rig = new SourceRig(fastFile(camera.url, { mode: 'latest' }), () => undefined);
    rig.source.start();
    await eventually('frames', () => rig.of('frame').length > 10);
    expect(rig.of('frame')[0]).toMatchObject({ captureSource: 'arrival', ptsNs: 0n });
    camera.kill();
    await rig.over();
    expect(rig.of('error')).toMatchObject([{ code: 'SOURCE_UNREACHABLE', retryable: true }]);
  });

  it('that freezes is noticed', async () => {
    const camera = await startCamera();
    const rig = new SourceRig(fastFile(camera.url, { mode: 'latest', noFrameTimeoutMs: 1000 }), () => undefined);
    rig.source.start();
    await eventually('frames', () => rig.of('frame').length > 10);
    camera.freeze();
    await rig.over();
    expect(rig.of('error')).toMatchObject([{ code: 'SOURCE_STALLED', retryable: true }]);
  });
});

describe.skipIf(!hasTestData('video/robust'))('the test videos', () => {
  const clips = hasTestData('video/robust') ? probedClips().filter(({ file }) => file.includes('/robust/')) : [];

  it.each(clips.map(({ file, frames }) => [basename(file), file, frames] as const))('%s', async (name, file, probed) => {
    const rig = new SourceRig(fastFile(file), () => undefined);
    rig.source.start();
    await rig.over();
    expect(rig.refused).toBe(0);
    if (probed === 0) {
      expect(rig.of('error')).toMatchObject([{ code: 'SOURCE_UNSUPPORTED', retryable: false }]);
      expect(rig.of('error')[0]?.message).toContain(file);
      return;
    }
    expect(rig.of('error')).toEqual([]);
    expect(rig.of('frame')).toHaveLength(probed);
  });
});

describe('probeMedia', () => {
  it('tells version and elements', () => {
    const probe = probeMedia(['videoconvert', 'no-such-element']);
    expect(probe.gstreamerVersion).toMatch(/^1\.\d+\.\d+$/);
    expect(probe.elements).toEqual({ videoconvert: true, 'no-such-element': false });
  });
});

describe('the addon', () => {
  it('can be used by one thread after the other, also when the main thread does not', async () => {
    const child = new TestProcess(process.execPath, [join(ROOT, 'test', 'fixtures', 'addon_threads.mjs'), makeClip(320, 240, 5)]);
    expect(await child.exitCode(), child.stderr).toBe(0);
    expect(child.stdout).toBe('320\n320\n320\n');
  });
});
