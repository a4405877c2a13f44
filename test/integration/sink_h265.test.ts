import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { probe } from '../helpers/output_rig.js';
import { recordedLines, recordedPackets, recordedPictures, recordedVideos } from '../helpers/recorded.js';
import { SinkRig, TestProducer } from '../helpers/sink_rig.js';
import { tempFolder } from '../helpers/temp.js';

const PATIENCE = { timeoutMs: 60_000 };

test('a sink that encodes H.265 serves it by RTSP, shows stills on the page, and records it', async () => {
  const root = join(tempFolder(), 'root');
  const folder = join(root, 'gate');
  const { url } = await natsServer();
  const rig = await SinkRig.at(url, ['gate'], { codec: 'h265', recordings: { root, record: 'segment: 1h' } });
  const { process, addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate', { fps: 10 });
  await eventually('pictures are on the disk', () => recordedVideos(folder).some((video) => recordedLines(video).length >= 20), PATIENCE);

  expect(await probe(`${addresses.rtsp}/gate`, ['-rtsp_transport', 'tcp'])).toMatchObject({ codec_name: 'hevc', width: 320, height: 240 });
  const still = await fetch(new URL('/streams/gate/snapshot.jpg', addresses.page));
  expect(still.headers.get('content-type')).toBe('image/jpeg');

  process.kill('SIGTERM');
  expect(await process.exitCode()).toBe(0);
  const [video = ''] = recordedVideos(folder);
  expect(await probe(video)).toMatchObject({ codec_name: 'hevc', codec_tag_string: 'hvc1', width: 320, height: 240 });
  const lines = recordedLines(video);
  expect(lines.map(({ pts, bytes, keyframe }) => ({ pts, size: bytes, keyframe }))).toEqual(await recordedPackets(video));
  expect(await recordedPictures(video, 320 * 240)).toHaveLength(lines.length);
});
