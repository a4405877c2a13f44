import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import * as subjects from '../../lib/subjects.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { EventClip, EventEnd, EventSource } from '#proto/framebus/recording/v1/recorded_event.js';
import {
  RecordingServiceClient,
  StartRecordingRequest,
  type StartRecordingResponse,
  type StopRecordingResponse,
} from '#proto/framebus/recording/v1/recording_service.js';
import { eventually } from '../helpers/eventually.js';
import { natsServer } from '../helpers/nats.js';
import { ffmpegTool } from '../helpers/output_rig.js';
import { runNode } from '../helpers/process.js';
import { expectIsFrame, expectMatch, recordedLines, recordedPackets, recordedPictures, recordedVideos } from '../helpers/recorded.js';
import { LOSSLESS, SinkRig, TestProducer, type SinkAddresses } from '../helpers/sink_rig.js';
import { tempFolder } from '../helpers/temp.js';

const PATIENCE = { timeoutMs: 60_000 };
const [WIDTH, HEIGHT] = [320, 240];

async function eventRig(keys: string, stream = 'gate'): Promise<{ rig: SinkRig; folder: string }> {
  const { url } = await natsServer();
  const root = join(tempFolder(), 'root');
  return { rig: await SinkRig.at(url, [stream], { events: { root, keys } }), folder: join(root, stream, 'events') };
}

class Caller {
  readonly #client: RecordingServiceClient;

  constructor(address: string) {
    this.#client = new RecordingServiceClient(address, credentials.createInsecure());
    onTestFinished(() => {
      this.#client.close();
    });
  }

  start(request: Partial<StartRecordingRequest>): Promise<StartRecordingResponse> {
    return new Promise((resolve, reject) => {
      this.#client.startRecording(StartRecordingRequest.fromPartial({ streamId: 'gate', ...request }), settle(resolve, reject));
    });
  }

  stop(event: string): Promise<StopRecordingResponse> {
    return new Promise((resolve, reject) => {
      this.#client.stopRecording({ streamId: 'gate', event }, settle(resolve, reject));
    });
  }
}

function settle<T>(resolve: (value: T) => void, reject: (error: Error) => void): (error: ServiceError | null, value: T) => void {
  return (error, value) => {
    if (error === null) resolve(value);
    else reject(new Error(String(error.metadata.get('framebus-code')[0])));
  };
}

const clipOf = (video: string): EventClip => EventClip.fromJSON(JSON.parse(readFileSync(video.replace(/mp4$/, 'json'), 'utf8')));

/** The description beside a video, once there is one for which this holds. */
function clipWith(video: string, what: string, holds: (clip: EventClip) => boolean): Promise<EventClip> {
  return eventually(
    `${what} in ${video}`,
    () => {
      const clip = clipOf(video);
      return holds(clip) ? clip : null;
    },
    PATIENCE,
  );
}

/** Waits until so many frames have been encoded. */
async function encoded({ page }: SinkAddresses, count: number): Promise<void> {
  await eventually(
    `${String(count)} frames`,
    async () => {
      const text = await (await fetch(new URL('/metrics', page))).text();
      return Number(/^framebus_frames_total\{.*outcome="out".*\} (\d+)/m.exec(text)?.[1] ?? 0) >= count;
    },
    PATIENCE,
  );
}

const unixMs = (record: DetectionRecord | undefined): number => Number((record?.captureTime?.unixNs ?? 0n) / 1_000_000n);

test('a call and a message that overlap make one clip, which begins before both, and each line is that of its picture', { timeout: 180_000 }, async () => {
  const { rig, folder } = await eventRig('pre_roll: 2s, post_roll: 1s, max_length: 1h');
  const { process, addresses } = await rig.sink();
  const caller = new Caller(addresses.grpc);
  await expect(caller.start({ event: 'early' })).rejects.toThrow('STREAM_NO_PICTURE');
  new TestProducer(rig.directory, rig.nats).play('gate');
  await encoded(addresses, 100);

  const door = await caller.start({ event: 'door', reason: 'opened' });
  const [video = ''] = recordedVideos(folder);
  expect(door).toMatchObject({ event: 'door', file: video });
  expect(door.preRollMs).toBeGreaterThanOrEqual(2_000);
  expect(await caller.start({ event: 'door', reason: 'once more' })).toMatchObject({ file: video, preRollMs: door.preRollMs, startedUnixNs: door.startedUnixNs });
  const alarm = { schema_version: 1, action: 'TRIGGER_ACTION_START', event: 'alarm', duration_ms: 1_000 };
  rig.nats.publish(subjects.triggers('gate'), JSON.stringify(alarm));
  await clipWith(video, 'the alarm has ended', ({ events }) => events[1]?.end === EventEnd.EVENT_END_DURATION);
  const stopped = await caller.stop('door');
  expect(stopped.files).toEqual([video]);
  const clip = await clipWith(video, 'the end', ({ complete }) => complete);
  expect(recordedVideos(folder)).toEqual([video]);
  expect(clip).toMatchObject({ schemaVersion: 1, streamId: 'gate', preRollMs: door.preRollMs, files: [basename(video)] });
  expect(clip.events).toMatchObject([
    { event: 'door', source: EventSource.EVENT_SOURCE_CALL, reason: 'opened', end: EventEnd.EVENT_END_STOPPED },
    { event: 'alarm', source: EventSource.EVENT_SOURCE_MESSAGE, end: EventEnd.EVENT_END_DURATION },
  ]);
  expect((await caller.stop('door')).event).toEqual(clip.events[0]);
  await expect(caller.stop('window')).rejects.toThrow('EVENT_NOT_FOUND');

  const lines = recordedLines(video);
  await expectMatch(video, lines);
  const pictures = await recordedPictures(video, WIDTH * HEIGHT);
  expect(pictures).toHaveLength(lines.length);
  for (const [n, luma] of pictures.entries()) expectIsFrame(luma, WIDTH, HEIGHT, Number(lines[n]?.record.seq));
  const [started, ended] = [door.startedUnixNs, clip.events[0]?.endedUnixNs ?? 0n].map((ns) => Number(ns / 1_000_000n));
  // The clocks of capture and of pictures are read one after the other.
  expect(unixMs(lines[0]?.record)).toBeLessThanOrEqual((started ?? 0) - 1_990);
  expect(unixMs(lines.at(-1)?.record)).toBeGreaterThan(ended ?? Infinity);

  for (const nonsense of ['{', '{"schema_version":9}', JSON.stringify({ ...alarm, event: '../x' })]) rig.nats.publish(subjects.triggers('gate'), nonsense);
  rig.nats.publish(subjects.triggers('yard'), JSON.stringify(alarm));
  const metrics = await eventually('all are counted', async () => {
    const text = await (await fetch(new URL('/metrics', addresses.page))).text();
    return text.includes('framebus_triggers_refused_total{code="STREAM_NOT_FOUND"') ? text : null;
  });
  expect(metrics).toMatch(/framebus_triggers_refused_total\{code="MESSAGE_MALFORMED"[^}]*\} 2$/m);
  expect(metrics).toMatch(/framebus_triggers_refused_total\{code="MESSAGE_VERSION"[^}]*\} 1$/m);
  expect(metrics).toMatch(/framebus_events_total\{stream="gate",source="call"[^}]*\} 1$/m);
  expect(metrics).toMatch(/framebus_events_total\{stream="gate",source="message"[^}]*\} 1$/m);
  process.kill('SIGTERM');
  expect(await process.exitCode()).toBe(0);
});

test('after kill -9 the clip of a running event plays from its pre-roll on, and its lines match', { timeout: 180_000 }, async () => {
  const { rig, folder } = await eventRig('pre_roll: 1s');
  const { process, addresses } = await rig.sink();
  new TestProducer(rig.directory, rig.nats).play('gate');
  await encoded(addresses, 60);
  const command = runNode(['cli/framebus.mjs', 'record', 'gate', '--event', 'door', '--pre-roll', '500ms', '--address', addresses.grpc]);
  expect(await command.exitCode()).toBe(0);
  const [video = '', ...more] = recordedVideos(folder);
  expect(more).toEqual([]);
  const [, said = ''] = /: event door, begins (\S+) before it, until \S+Z at the latest\n$/.exec(command.stdout) ?? [];
  expect(said).toMatch(/s$/);
  expect(command.stdout.startsWith(`${video}: `)).toBe(true);
  await eventually('it goes on', () => recordedLines(video).length >= 75, PATIENCE);
  process.kill('SIGKILL');
  await process.exitCode();

  const lines = recordedLines(video);
  const packets = await recordedPackets(video);
  expect(lines.map(({ pts }) => pts)).toEqual(packets.slice(0, lines.length).map(({ pts }) => pts));
  // A fragment may be without its lines: the kill came between both.
  expect(packets.length - lines.length).toBeLessThanOrEqual(25);
  const pictures = await recordedPictures(video, WIDTH * HEIGHT);
  expect(pictures).toHaveLength(packets.length);
  const { complete, events, preRollMs } = clipOf(video);
  expect({ complete, events: events.map(({ event, end }) => [event, end]) }).toEqual({ complete: false, events: [['door', EventEnd.EVENT_END_UNSPECIFIED]] });
  expect(preRollMs).toBeGreaterThanOrEqual(500);
});

/** Luma of a JPEG. */
const jpegLuma = (file: string): Promise<Buffer> => ffmpegTool('ffmpeg', ['-i', file, '-f', 'rawvideo', '-pix_fmt', 'gray', '-']);

test('a rule records a clip, and saves the very frame in which it began to hold', { timeout: 180_000 }, async () => {
  const rules = 'rules: [{name: crowd, labels: [Person], min_confidence: 0.5, for: 1s, save: [clip, snapshot, clean_snapshot, metadata]}, {name: cars, labels: [car], min_confidence: 0.5}]';
  const { rig, folder } = await eventRig(`pre_roll: 1s, post_roll: 500ms, max_length: 1s, ${rules}`, LOSSLESS);
  const { addresses } = await rig.sink();
  // A camera's frame may be dropped, and then there is nothing to save.
  new TestProducer(rig.directory, rig.nats).play(LOSSLESS, { wait: true });
  const names = (): string[] => (existsSync(folder) ? readdirSync(folder) : []);
  const saved = ['.crowd.clean.jpg', '.crowd.jpg', '.crowd.json'];
  await eventually(() => `all files; there are ${names().join(' ')}`, () => saved.every((ending) => names().some((name) => name.endsWith(ending))), PATIENCE);
  const file = (ending: string): string => join(folder, names().find((name) => name.endsWith(ending)) ?? '');
  const record = DetectionRecord.fromJSON(JSON.parse(readFileSync(file('.crowd.json'), 'utf8')));

  const [clean, drawn] = [await jpegLuma(file('.crowd.clean.jpg')), await jpegLuma(file('.crowd.jpg'))];
  expect(clean).toHaveLength(WIDTH * HEIGHT);
  expectIsFrame(clean, WIDTH, HEIGHT, Number(record.seq));
  expect(drawn.equals(clean)).toBe(false);

  const [video = ''] = recordedVideos(folder);
  const clip = await clipWith(video, 'the end', ({ complete }) => complete);
  expect(clip.events).toMatchObject([{ event: 'crowd', source: EventSource.EVENT_SOURCE_RULE, end: EventEnd.EVENT_END_MAX_LENGTH }]);
  const lines = recordedLines(video);
  await expectMatch(video, lines);
  // It holds for a second before it begins; so there is pre-roll, and the frame is in it.
  expect(Number(lines[0]?.record.seq)).toBeLessThan(Number(record.seq));
  expect(lines.some(({ record: { seq } }) => seq === record.seq)).toBe(true);
  const metrics = await (await fetch(new URL('/metrics', addresses.page))).text();
  expect(metrics).toMatch(/framebus_event_captures_total\{stream="lossless",outcome="saved"[^}]*\} 1$/m);
  expect(metrics).toMatch(/framebus_event_captures_total\{stream="lossless",outcome="failed"[^}]*\} 0$/m);
  expect(names().filter((name) => name.includes('cars') || name.endsWith('.part'))).toEqual([]);
});

test('an event goes on when the pictures change their size, in another file', { timeout: 180_000 }, async () => {
  const { rig, folder } = await eventRig('post_roll: 0');
  const { process, addresses } = await rig.sink();
  const producer = new TestProducer(rig.directory, rig.nats);
  const end = producer.play('gate');
  await encoded(addresses, 30);
  const caller = new Caller(addresses.grpc);
  const { file } = await caller.start({ event: 'door' });
  end();
  producer.play('gate', { width: 640, height: 480 });
  await eventually('the second file grows', () => recordedVideos(folder)[1] !== undefined && recordedLines(recordedVideos(folder)[1] ?? '').length >= 25, PATIENCE);
  process.kill('SIGTERM');
  expect(await process.exitCode()).toBe(0);
  const videos = recordedVideos(folder);
  expect(videos).toHaveLength(2);
  expect(videos[0]).toBe(file);
  for (const [n, video] of videos.entries()) {
    const lines = recordedLines(video);
    await expectMatch(video, lines);
    expect(lines.every(({ record }) => record.width === (n === 0 ? WIDTH : 640))).toBe(true);
    expect(clipOf(video)).toMatchObject({ files: videos.map((one) => basename(one)), events: [{ event: 'door', end: EventEnd.EVENT_END_CLOSED }], complete: true });
  }
});

test('where events are off, the call says so; a file in the place of the folder fails the event alone', { timeout: 120_000 }, async () => {
  const off = await SinkRig.start();
  const caller = new Caller((await off.sink()).addresses.grpc);
  await expect(caller.start({ event: 'door' })).rejects.toThrow('EVENTS_OFF');
  await expect(caller.start({ event: 'door', streamId: 'yard' })).rejects.toThrow('STREAM_NOT_FOUND');
  await expect(caller.start({ event: 'a b' })).rejects.toThrow('OPTION_INVALID');

  const { rig, folder } = await eventRig('folder: events');
  const root = join(folder, '..', '..');
  writeFileSync(root, 'in the way');
  const { addresses } = await rig.sink();
  const blocked = new Caller(addresses.grpc);
  new TestProducer(rig.directory, rig.nats).play('gate');
  await encoded(addresses, 25);
  await expect(blocked.start({ event: 'door' })).rejects.toThrow('RECORDING_FAILED');
  await encoded(addresses, 75);
});
