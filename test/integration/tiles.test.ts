import { spawn } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import type { PageStatus } from '../../services/sink/page_status.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { probe } from '../helpers/output_rig.js';
import { SinkRig, TestProducer, type SinkAddresses } from '../helpers/sink_rig.js';
import { tempFile } from '../helpers/temp.js';

const WIDTH = 640;
const HEIGHT = 360;
/** A cell, in two columns: 318 x 358 of 320 x 360. */
const CELL = { width: 318, height: 358 };
/** A watchdog: everything takes long on a busy machine. */
const LONG = { timeoutMs: 60_000 };

/** One RTSP player that stays, and keeps the luma of its latest picture. */
class Player {
  picture: Buffer | null = null;
  pictures = 0;
  ended = false;
  complaints = '';

  constructor(url: string) {
    const input = ['-v', 'error', '-rtsp_transport', 'tcp', '-fflags', 'nobuffer', '-i', url];
    const child = spawn('ffmpeg', [...input, '-vsync', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'gray', '-'], { stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    child.on('close', () => {
      this.ended = true;
    });
    child.stderr.on('data', (text: Buffer) => {
      this.complaints += text.toString();
    });
    let bytes = Buffer.alloc(0);
    child.stdout.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (; bytes.length >= WIDTH * HEIGHT; bytes = bytes.subarray(WIDTH * HEIGHT)) {
        this.picture = bytes.subarray(0, WIDTH * HEIGHT);
        this.pictures++;
      }
    });
  }

  /** Mean luma around a pixel. */
  luma(x: number, y: number): number {
    let sum = 0;
    for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) sum += this.picture?.[(y + dy) * WIDTH + x + dx] ?? Number.NaN;
    return sum / 9;
  }

  /** Whether something as bright as a letter is in a part. */
  text(left: number, top: number, right: number, bottom: number): boolean {
    for (let y = top; y < bottom; y++) if (this.picture?.subarray(y * WIDTH + left, y * WIDTH + right).some((luma) => luma > 170)) return true;
    return false;
  }

  /** Until the picture is as `look` asks. */
  async shows(what: string, look: (player: this) => boolean): Promise<void> {
    await eventually(
      () => `${what}; ${this.pictures} pictures, ended: ${String(this.ended)}; ${this.complaints}`,
      () => this.picture !== null && look(this),
      LONG,
    );
  }
}

const near = (value: number, wanted: number): boolean => Math.abs(value - wanted) <= 8;

/** The grey of a test stream's picture at a height of it, from 0 to 1. */
const rampAt = (height: number): number => 40 + 120 * height;

async function status(addresses: SinkAddresses): Promise<PageStatus> {
  return (await (await fetch(`${addresses.page}api/status`)).json()) as PageStatus;
}

async function metric(addresses: SinkAddresses, start: string): Promise<number> {
  const text = await (await fetch(`${addresses.page}metrics`)).text();
  return Number(text.split('\n').find((line) => line.startsWith(start))?.split(' ').at(-1) ?? Number.NaN);
}

test('a tiled output shows the streams as they are, follows them, and never shows an old picture as a live one', async () => {
  const { url } = await natsServer();
  const tiles = `{name: wall, width: ${WIDTH}, height: ${HEIGHT}, columns: 2}, {name: yards, streams: [yard], width: 160, height: 90}`;
  const rig = await SinkRig.at(url, ['gate', 'yard'], { tiles });
  const { addresses } = await rig.sink();
  expect((await status(addresses)).tiles).toEqual([
    { name: 'wall', streams: ['gate', 'yard'] },
    { name: 'yards', streams: ['yard'] },
  ]);

  const producer = new TestProducer(rig.directory, rig.nats);
  const endGate = producer.play('gate');
  await eventually('a picture', async () => (await fetch(`${addresses.page}tiles/wall/snapshot.jpg`)).ok, LONG);
  const player = new Player(`${addresses.rtsp}/wall`);

  // 318 x 238 in the middle of the left cell.
  const gateLive = (): boolean => near(player.luma(160, 60 + 226), rampAt(226 / 238)) && player.luma(160, 30) < 24;
  await player.shows('gate, in its shape', gateLive);
  await player.shows('the names', () => player.text(0, CELL.height - 24, 60, CELL.height) && player.text(320, CELL.height - 24, 380, CELL.height));
  // The white square of the test stream, above where "no picture" would stand.
  const square = (): boolean => player.text(0, 60 + 64, CELL.width, 60 + 95);
  await player.shows('what moves', square);
  await player.shows('no picture of yard', () => player.luma(340, 60) < 24 && player.text(400, 160, 560, 200));

  const endYard = producer.play('yard', { width: 320, height: 180 });
  await player.shows('yard, wide', () => near(player.luma(480, 90 + 168), rampAt(168 / 178)) && player.luma(480, 70) < 24);
  endYard();
  producer.play('yard', { width: 180, height: 320 });
  await player.shows('yard, tall', () => near(player.luma(480, 340), rampAt(340 / 358)) && player.luma(340, 180) < 24 && player.luma(620, 180) < 24);

  endGate();
  await player.shows('that gate is gone', () => player.luma(160, 60 + 226) < 60 && player.text(80, 160, 240, 200) && !square());
  producer.play('gate');
  await player.shows('gate again', () => gateLive() && square());

  // One that nobody has configured: a third cell, below.
  producer.play('porch');
  await player.shows('a row more', () => near(player.luma(160, 180 + 165), rampAt(165 / 178)));
  expect((await status(addresses)).tiles).toEqual([
    { name: 'wall', streams: ['gate', 'yard', 'porch'] },
    { name: 'yards', streams: ['yard'] },
  ]);
  expect(player.ended).toBe(false);
  const seen = player.pictures;
  await eventually('all pictures to be counted', async () => (await metric(addresses, 'framebus_sink_tiles_pictures_total{tiles="wall"')) >= seen);
  expect(await metric(addresses, 'framebus_sink_tiles_dropped_total{tiles="wall",reason="encoder"')).toBe(0);
});

test('the page serves its pictures, and says what is wrong', async () => {
  const { url } = await natsServer();
  const rig = await SinkRig.at(url, ['gate'], { tiles: '{name: wall, width: 320, height: 180}' });
  const { addresses } = await rig.sink();
  const wall = `${addresses.page}tiles/wall/`;
  const jpeg = await eventually('a picture', async () => {
    const answer = await fetch(`${wall}snapshot.jpg?quality=50`);
    return answer.ok ? answer : null;
  }, LONG);
  expect(jpeg.headers.get('content-type')).toBe('image/jpeg');
  expect(await probe(tempFile('wall.jpg', Buffer.from(await jpeg.arrayBuffer())))).toMatchObject({ codec_name: 'mjpeg', width: 320, height: 180 });

  const live = await fetch(`${wall}live.mp4`);
  expect(live.headers.get('content-type')).toBe('video/mp4');
  let video = Buffer.alloc(0);
  for await (const chunk of live.body as unknown as AsyncIterable<Uint8Array>) {
    video = Buffer.concat([video, chunk]);
    if (video.includes('moof') && video.lastIndexOf('moof') > video.indexOf('moof')) break;
  }
  expect(await probe(tempFile('wall.mp4', video))).toMatchObject({ codec_name: 'h264', width: 320, height: 180 });

  expect((await fetch(`${wall}snapshot.jpg?quality=0`)).status).toBe(400);
  const missing = await fetch(`${addresses.page}tiles/gate/live.mp4`);
  expect(missing.status).toBe(404);
  expect(await missing.text()).toContain('tiled output \\"gate\\": not found; known are wall');
});
