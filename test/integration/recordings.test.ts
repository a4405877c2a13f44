import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { expectIsFrame, expectMatch, recordedLines, recordedPackets, recordedPictures, recordedVideos } from '../helpers/recorded.js';
import { SinkRig, subscribe, TestProducer } from '../helpers/sink_rig.js';
import { tempFolder } from '../helpers/temp.js';

const PATIENCE = { timeoutMs: 60_000 };
const [WIDTH, HEIGHT] = [320, 240];

async function recordingRig(record: string, root = join(tempFolder(), 'root')): Promise<{ rig: SinkRig; root: string; folder: string }> {
  const { url } = await natsServer();
  const rig = await SinkRig.at(url, ['gate'], { recordings: { root, record } });
  return { rig, root, folder: join(root, 'gate') };
}

const linesIn = (folder: string): number => recordedVideos(folder).reduce((sum, video) => sum + recordedLines(video).length, 0);

/** A metric of a stream; 0 before the first time. */
async function metric(page: string, pattern: RegExp): Promise<number> {
  const text = await (await fetch(new URL('/metrics', page))).text();
  const line = text.split('\n').find((one) => pattern.test(one));
  return line === undefined ? 0 : Number(line.split(' ').at(-1));
}

test('every frame is in one segment, and its line is that of its picture; a new epoch begins a segment', { timeout: 120_000 }, async () => {
  const { rig, folder } = await recordingRig('segment: 2s');
  const { process } = await rig.sink();
  const producer = new TestProducer(rig.directory, rig.nats);
  const stop = producer.play('gate');
  await eventually('three seconds are on the disk', () => linesIn(folder) >= 75, PATIENCE);
  stop();
  const before = recordedVideos(folder).length;
  producer.play('gate');
  await eventually('the second epoch is on the disk', () => recordedVideos(folder).length > before && linesIn(folder) >= 120, PATIENCE);
  process.kill('SIGTERM');
  expect(await process.exitCode()).toBe(0);

  const videos = recordedVideos(folder);
  expect(videos.every((video) => /\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z\.mp4$/.test(video))).toBe(true);
  const segments = videos.map(recordedLines);
  for (const [n, video] of videos.entries()) await expectMatch(video, segments[n] ?? []);
  const records = segments.flat().map(({ record }) => record);
  const epochs = [...new Set(records.map(({ epoch }) => epoch?.uuid))];
  expect(epochs).toHaveLength(2);
  for (const uuid of epochs) {
    const seqs = records.filter(({ epoch }) => epoch?.uuid === uuid).map(({ seq }) => Number(seq));
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
  }
  // The first epoch's segments end at two seconds; the second epoch has segments of its own.
  expect(segments.filter((lines) => lines.every(({ record }) => record.epoch?.uuid === epochs[1])).length).toBeGreaterThan(0);
  expect(segments[0]?.length).toBeLessThan(80);
  expect(records.some(({ detections }) => detections.some(({ label, trackId }) => label === 'person' && trackId > 0n))).toBe(true);

  const [video, lines] = [videos[0] ?? '', segments[0] ?? []];
  const pictures = await recordedPictures(video, WIDTH * HEIGHT);
  expect(pictures).toHaveLength(lines.length);
  for (const [n, luma] of pictures.entries()) expectIsFrame(luma, WIDTH, HEIGHT, Number(lines[n]?.record.seq));
});

test('after kill -9 the file plays to what was encoded seconds before, and its lines match', { timeout: 120_000 }, async () => {
  const { rig, folder } = await recordingRig('segment: 1h');
  const { process, addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate');
  await eventually('something is on the disk', () => linesIn(folder) >= 50, PATIENCE);
  const encoded = await metric(addresses.page, /^framebus_frames_total\{.*outcome="out"/);
  await sleep(3_000);
  process.kill('SIGKILL');
  await process.exitCode();

  const [video = '', ...more] = recordedVideos(folder);
  expect(more).toEqual([]);
  const lines = recordedLines(video);
  const pictures = await recordedPictures(video, WIDTH * HEIGHT);
  expect(encoded).toBeGreaterThanOrEqual(50);
  expect(pictures.length).toBeGreaterThanOrEqual(encoded);
  // A fragment may be without its lines: the kill came between both.
  expect(pictures.length - lines.length).toBeGreaterThanOrEqual(0);
  expect(pictures.length - lines.length).toBeLessThanOrEqual(25);
  const packets = await recordedPackets(video);
  expect(lines.map(({ pts }) => pts)).toEqual(packets.slice(0, lines.length).map(({ pts }) => pts));

  // The next sink leaves the file alone and begins another one.
  await rig.sink();
  await eventually('another file', () => recordedVideos(folder).length === 2 && linesIn(folder) > lines.length, PATIENCE);
  expect(recordedLines(video)).toEqual(lines);
});

test('a file in the place of the folder, and a folder that is removed, stop the recording alone, until they are gone', { timeout: 180_000 }, async () => {
  const { rig, root, folder } = await recordingRig('segment: 1h');
  mkdirSync(root);
  writeFileSync(folder, 'in the way');
  const { process, addresses } = await rig.sink();
  const records = subscribe(addresses.grpc);
  await records.started;
  new TestProducer(rig.directory, rig.nats).play('gate');
  const count = (text: RegExp): number => process.stderr.split('\n').filter((line) => text.test(line)).length;
  const failed = /"code":"RECORDING_FAILED"/;
  await eventually('the log says so', () => count(failed) === 1, PATIENCE);
  const seen = records.responses.length;
  const out = /^framebus_frames_total\{.*outcome="out"/;
  const encoded = await metric(addresses.page, out);
  await eventually('all else goes on', async () => records.responses.length >= seen + 50 && (await metric(addresses.page, out)) >= encoded + 50, PATIENCE);
  expect(count(failed)).toBe(1);

  rmSync(folder);
  await eventually('recording goes on', () => count(/recording goes on/) === 1 && linesIn(folder) > 0, PATIENCE);
  rmSync(root, { recursive: true });
  await eventually('recording goes on once more', () => count(/recording goes on/) === 2 && linesIn(folder) > 0, PATIENCE);
  expect(await metric(addresses.page, /^framebus_recording_failures_total\{.*stream="gate"/)).toBe(2);
  expect(await metric(addresses.page, /^framebus_recording_dropped_gops_total\{.*stream="gate"/)).toBeGreaterThan(0);
  process.kill('SIGTERM');
  expect(await process.exitCode()).toBe(0);
  for (const video of recordedVideos(folder)) await expectMatch(video, recordedLines(video));
});

/** A file system of a few kilobytes, when we may mount one. */
function smallDisk(bytes: number): string | null {
  const folder = tempFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(bytes)}`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return null;
  }
  onTestFinished(() => {
    execFileSync('umount', ['-l', folder]);
  });
  return folder;
}

test('a full disk keeps what was whole, and recording goes on when there is room', { timeout: 180_000 }, async ({ skip }) => {
  const disk = smallDisk(262_144);
  if (disk === null) {
    skip('mounting a small file system needs root');
    return;
  }
  const ballast = join(disk, 'ballast');
  writeFileSync(ballast, Buffer.alloc(160_000));
  const { rig, folder } = await recordingRig('segment: 1h', disk);
  const { process } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate');
  await process.output(/"code":"RECORDING_FAILED".*No space left on device/, PATIENCE.timeoutMs);
  const [first = ''] = recordedVideos(folder);
  const whole = recordedLines(first);
  expect(whole.length).toBeGreaterThan(0);
  expect((await recordedPictures(first, WIDTH * HEIGHT)).length).toBe(whole.length);
  rmSync(ballast);
  await process.output(/recording goes on/, PATIENCE.timeoutMs);
  process.kill('SIGTERM');
  expect(await process.exitCode()).toBe(0);
});

test('a read-only disk stops the recording alone, and recording begins when it can be written', { timeout: 180_000 }, async ({ skip }) => {
  const disk = smallDisk(4_194_304);
  if (disk === null) {
    skip('mounting a small file system needs root');
    return;
  }
  execFileSync('mount', ['-o', 'remount,ro', disk]);
  const { rig, folder } = await recordingRig('segment: 1h', disk);
  const { process, addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate', { fps: 5 });
  await process.output(/"code":"RECORDING_FAILED".*Read-only file system/, PATIENCE.timeoutMs);
  const still = await fetch(new URL('/streams/gate/snapshot.jpg', addresses.page));
  expect(still.status).toBe(200);
  execFileSync('mount', ['-o', 'remount,rw', disk]);
  await process.output(/recording goes on/, PATIENCE.timeoutMs);
  await eventually('lines are on the disk', () => linesIn(folder) > 0, PATIENCE);
});
