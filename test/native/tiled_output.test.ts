import { expect, onTestFinished, test } from 'vitest';
import { createOutput, createTiler } from '../../native/index.js';
import { TiledOutput } from '../../services/sink/tiled_output.js';
import { eventually } from '../helpers/eventually.js';
import { frameFormat, outputOptions, rtspServer } from '../helpers/output_rig.js';

test('a tiled output that cannot begin is tried again, and leaves the mounts of others alone', async () => {
  const rtsp = rtspServer();
  const other = createOutput(outputOptions(frameFormat(64, 64)), () => undefined);
  onTestFinished(() => other.close());
  rtsp.mount('wall', other);
  const failures: string[] = [];
  const { encode } = outputOptions(frameFormat(320, 180));
  const tiled = new TiledOutput(
    { name: 'wall', streams: [], width: 320, height: 180, fps: 10, columns: null, encode },
    ['gate'],
    { addon: { createOutput, createTiler }, rtsp, failed: (code) => failures.push(code) },
  );
  onTestFinished(() => tiled.close());
  tiled.open();
  expect(failures).toEqual(['RTSP_MOUNT']);
  expect(await tiled.snapshot(90)).toBeNull();
  expect(() => {
    rtsp.mount('wall', other);
  }).toThrow(/is mounted already/);

  rtsp.unmount('wall');
  expect(await eventually('a picture', () => tiled.snapshot(90))).toBeInstanceOf(Uint8Array);
  await eventually('pictures that are counted', () => tiled.pictures > 2);
  tiled.show('yard', other);
  tiled.show('yard', null);
  expect(tiled.streams).toEqual(['gate', 'yard']);

  await tiled.close();
  await tiled.close();
  expect(tiled.openViewer(() => undefined)).toBeNull();
  rtsp.mount('wall', other);
});
