import { credentials } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { classColor } from '../../services/sink/overlay.js';
import { SnapshotServiceClient, type GetSnapshotResponse } from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { ffmpegTool } from '../helpers/output_rig.js';
import { SinkRig, TestProducer } from '../helpers/sink_rig.js';
import { tempFile } from '../helpers/temp.js';

const WIDTH = 320;
const TIMEOUT = { timeoutMs: 60_000 };
/** Of the person's box, in the producer's detections: the lower edge. */
const GROUND = 110;
/** Within the box of the car, which stands still; clear of its outline. */
const CAR = { left: 154, top: 94, right: 206, bottom: 116 };
/** A strip beside it, where nothing is ever drawn. */
const BESIDE = { left: 240, top: 94, right: 300, bottom: 116 };

/** The first picture of a file or stream, rows of R, G, B. */
const picture = (source: string, ...options: string[]): Promise<Buffer> =>
  ffmpegTool('ffmpeg', [...options, '-i', source, '-frames:v', '1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']);

/** Mean of R, G and B over an area. */
function mean(rgb: Buffer, { left, top, right, bottom }: typeof CAR): number {
  let sum = 0;
  for (let y = top; y < bottom; y++) {
    for (const value of rgb.subarray((y * WIDTH + left) * 3, (y * WIDTH + right) * 3)) sum += value;
  }
  return sum / ((right - left) * (bottom - top) * 3);
}

function snapshots(address: string): () => Promise<GetSnapshotResponse> {
  const client = new SnapshotServiceClient(address, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
  });
  return () =>
    new Promise((resolve, reject) => {
      client.getSnapshot({ streamId: 'gate', quality: 95, output: '', clean: false }, (error, response) => {
        if (error) reject(error);
        else resolve(response);
      });
    });
}

test('what is concealed is so in snapshots, on the page and over RTSP; objects draw their trails', async () => {
  const rig = await SinkRig.at((await natsServer()).url, ['gate'], { osd: 'trails: 30s, label: [], conceal: {labels: [Car], with: fill}' });
  const { addresses } = await rig.sink();
  const snapshot = snapshots(addresses.grpc);
  new TestProducer(rig.directory, rig.nats).play('gate');

  const walked = await eventually('a person half way', async () => {
    const taken = await snapshot();
    const x = taken.record?.detections.find(({ label }) => label === 'person')?.box?.x ?? 0;
    return x > 50 && x < 95 && { jpeg: taken.jpeg, x };
  }, TIMEOUT);
  const still = await picture(tempFile('still.jpg', walked.jpeg));
  expect(mean(still, CAR)).toBeLessThan(12);
  expect(mean(still, BESIDE)).toBeGreaterThan(60);
  const color = classColor(0);
  const green = still[(GROUND * WIDTH + walked.x - 12) * 3 + 1] ?? 0;
  const red = still[(GROUND * WIDTH + walked.x - 12) * 3] ?? 0;
  expect(green, 'the trail behind the person').toBeGreaterThan(((color >> 8) & 255) - 60);
  expect(red).toBeLessThan((color >> 16) + 60);

  const rtsp = await eventually('a picture over RTSP', () => picture(`${addresses.rtsp}/gate`, '-rtsp_transport', 'tcp'), TIMEOUT);
  const page = await fetch(`${addresses.page}streams/gate/live.mp4`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of page.body as unknown as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    if (chunks.length > 12) break;
  }
  for (const live of [rtsp, await picture(tempFile('live.mp4', Buffer.concat(chunks)))]) {
    expect(mean(live, CAR)).toBeLessThan(20);
    expect(mean(live, BESIDE)).toBeGreaterThan(60);
  }
});
