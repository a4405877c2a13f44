import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium } from 'playwright-core';
import { describe, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { frameFormat, OutputRig, outputOptions } from '../helpers/output_rig.js';

const CHROMIUM = '/usr/bin/chromium';

/** Appends what /live sends, each chunk as it comes; nothing else helps the player. */
const PAGE = `<!doctype html><video muted></video><script type="module">
  const video = document.querySelector('video');
  const state = (globalThis.state = { appended: 0, error: '', joinMs: 0 });
  const startedMs = performance.now();
  const media = new MediaSource();
  video.src = URL.createObjectURL(media);
  video.addEventListener('error', () => (state.error = String(video.error?.message)));
  video.requestVideoFrameCallback(() => (state.joinMs = performance.now() - startedMs));
  await new Promise((resolve) => media.addEventListener('sourceopen', resolve, { once: true }));
  const reader = (await fetch('/live')).body.getReader();
  let { value } = await reader.read();
  const at = String.fromCharCode(...value).indexOf('avcC') + 5;
  const codec = [...value.subarray(at, at + 3)].map((n) => n.toString(16).padStart(2, '0')).join('');
  const buffer = media.addSourceBuffer('video/mp4; codecs="avc1.' + codec + '"');
  while (value) {
    buffer.appendBuffer(value);
    await new Promise((resolve) => buffer.addEventListener('updateend', resolve, { once: true }));
    state.appended++;
    if (video.paused) video.play().catch((error) => (state.error = error.message));
    ({ value } = await reader.read());
  }
</script>`;

/** What the page shows: luma of a line through the picture's middle. */
const LINE = `(() => {
  const video = document.querySelector('video');
  const canvas = new OffscreenCanvas(video.videoWidth || 1, 1);
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, -(video.videoHeight / 2));
  const { data } = context.getImageData(0, 0, canvas.width, 1);
  return Array.from(data.filter((_, i) => i % 4 === 1));
})()`;

interface PlayerState {
  appended: number;
  error: string;
  joinMs: number;
  time: number;
  ranges: number;
  behind: number;
  paused: boolean;
  ready: number;
  width: number;
}

const STATE = `(() => {
  const video = document.querySelector('video');
  const { buffered } = video;
  return { ...state, time: video.currentTime, ranges: buffered.length, width: video.videoWidth,
    paused: video.paused, ready: video.readyState, behind: buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : -1 };
})()`;

async function servePage(rig: OutputRig): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url !== '/live') {
      response.setHeader('content-type', 'text/html').end(PAGE);
      return;
    }
    const viewer = rig.output.openViewer((event) => {
      if (event.type === 'end') response.end();
      else response.write(event.data, () => {
        viewer.acknowledge(event.data.byteLength);
      });
    });
    response.on('close', () => {
      viewer.close();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe.skipIf(!existsSync(CHROMIUM))('viewer in Chromium (skipped without the package chromium)', () => {
  test.each([
    { name: 'I420 at 25 fps, ultrafast', format: frameFormat(320, 240), preset: 'ultrafast' },
    {
      name: 'NV12 at 10 fps, BT.709, veryfast',
      format: frameFormat(640, 360, { pixelFormat: 'NV12', matrix: 'bt709', frameRateNumerator: 10 }),
      preset: 'veryfast',
    },
  ])('plays by MSE: $name', async ({ format, preset }) => {
    const rig = await OutputRig.open(outputOptions(format, { encode: { preset } }));
    rig.roll();
    await eventually('frames', () => rig.encoded.length > 10);
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
    onTestFinished(() => browser.close());
    const page = await browser.newPage();
    await page.goto(await servePage(rig));
    const look = (): Promise<PlayerState> => page.evaluate<PlayerState>(STATE);
    await eventually('the first picture', async () => (await look()).joinMs > 0);
    const first = await look();
    const line = await page.evaluate<number[]>(LINE);
    let last = first;
    await eventually(
      () => `two seconds of play: ${JSON.stringify({ first, last, encoded: rig.encoded.length })}`,
      async () => (last = await look()).time > first.time + 2,
    );
    console.info(`first picture ${Math.round(first.joinMs)} ms, ${last.behind.toFixed(2)} s behind the buffer's end`);
    expect(last.error).toBe('');
    expect(last.ranges, 'one range, no gaps').toBe(1);
    expect(last.width).toBe(format.width);
    expect(last.appended).toBeGreaterThan(15);
    // The bright bar is there, and has moved.
    const later = await page.evaluate<number[]>(LINE);
    expect(Math.max(...later)).toBeGreaterThan(200);
    expect(later.filter((value, n) => Math.abs(value - (line[n] ?? 0)) > 40).length).toBeGreaterThan(10);
  });
});
