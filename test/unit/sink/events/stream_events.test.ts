import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { parseConfig } from '../../../../lib/config.js';
import type { Clip, Output, RecordingEvent } from '../../../../native/contract.js';
import { StreamEvents, type EventStart } from '../../../../services/sink/events/stream_events.js';
import { Detection } from '#proto/framebus/detection/v1/detection.js';
import { InferenceStatus } from '#proto/framebus/detection/v1/inference_status.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { EventClip, EventEnd, EventSource } from '#proto/framebus/recording/v1/recorded_event.js';
import { captureLog } from '../../../helpers/log.js';
import { tempFolder } from '../../../helpers/temp.js';

const STATS = { segments: 1, bytes: 10, droppedGops: 0, failures: 0, file: null, queuedBytes: 0 };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Clips that somebody has begun, instead of the addon's; the files are only named. */
class Clips {
  readonly folder = tempFolder();
  readonly begun: { preRollMs: number; isEnded: boolean; tell: (event: RecordingEvent) => void }[] = [];

  readonly createClipCache = () => ({
    expect: () => undefined,
    stats: () => ({ frames: 1, bytes: 7 }),
    close: () => undefined,
    begin: (preRollMs: number, _options: unknown, tell: (event: RecordingEvent) => void): Clip => {
      const entry = { preRollMs, isEnded: false, tell };
      this.begun.push(entry);
      tell({ type: 'begun', file: this.file(this.begun.length) });
      return {
        preRollMs: preRollMs + 100,
        stats: () => STATS,
        end: () => {
          entry.isEnded = true;
          return Promise.resolve();
        },
      };
    },
  });

  file(number: number, ending = 'mp4'): string {
    return join(this.folder, `${String(number)}.${ending}`);
  }

  /** What stands beside a clip at its end. */
  async described(number: number): Promise<EventClip> {
    const file = this.file(number, 'json');
    return vi.waitFor(() => {
      const clip = EventClip.fromJSON(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});
      if (!clip.complete) throw new Error('not at its end');
      return clip;
    });
  }
}

function rig(keys = ''): { events: StreamEvents; clips: Clips; start: (event: string, more?: Partial<EventStart>) => ReturnType<StreamEvents['start']> } {
  const config = parseConfig(`streams: {gate: {source: /c.mp4, events: {enabled: true, post_roll: 5s, max_length: 1m, ${keys}}}}`, 'f.yaml', {});
  const options = config.streams[0]?.events;
  if (!options) throw new Error('no stream');
  const clips = new Clips();
  const clock = { nowMs: () => performance.now(), unixMs: () => Date.now() };
  const events = new StreamEvents({ ...options, streamId: 'gate', folder: clips.folder }, clips, captureLog().log, clock);
  // Nothing is written any more when the folder goes.
  onTestFinished(() => events.close());
  const start = (event: string, more: Partial<EventStart> = {}): ReturnType<StreamEvents['start']> =>
    events.start({ event, source: EventSource.EVENT_SOURCE_CALL, reason: '', preRollMs: null, durationMs: 0, ...more });
  return { events, clips, start };
}

const OUTPUT = {} as Output;

test('events that overlap have one clip, which ends after the post-roll of the last one', async () => {
  const { events, clips, start } = rig();
  expect(() => start('door')).toThrow('no picture yet');
  events.attach(OUTPUT);
  const door = start('door', { durationMs: 10_000 });
  expect(start('door').message).toBe(door.message);
  expect(door.endsUnixMs - Date.now()).toBe(15_000);
  vi.advanceTimersByTime(14_000);
  // Door's post-roll goes on.
  start('alarm', { preRollMs: 1_000 });
  vi.advanceTimersByTime(3_000);
  events.stop('alarm');
  vi.advanceTimersByTime(4_999);
  expect(clips.begun).toMatchObject([{ preRollMs: 5_000, isEnded: false }]);
  vi.advanceTimersByTime(1);
  const { events: described, preRollMs } = await clips.described(1);
  expect(described).toMatchObject([
    { event: 'door', end: EventEnd.EVENT_END_DURATION },
    { event: 'alarm', end: EventEnd.EVENT_END_STOPPED },
  ]);
  expect(preRollMs).toBe(5_100);
  expect(clips.begun[0]?.isEnded).toBe(true);
  expect(events.stop('door').message.end).toBe(EventEnd.EVENT_END_DURATION);
  // A clip of its own.
  expect(start('door', { preRollMs: 60_000 }).clip.files).toEqual([clips.file(2)]);
  expect(clips.begun[1]?.preRollMs).toBe(5_000);
  expect(events.totals()).toMatchObject({ bytes: 20, cacheBytes: 7, events: new Map([[EventSource.EVENT_SOURCE_CALL, 3]]) });
});

test('an event that is started again in its post-roll goes on; one that nobody stops ends', async () => {
  const { events, clips, start } = rig();
  events.attach(OUTPUT);
  start('door');
  vi.advanceTimersByTime(1_000);
  expect(events.stop('door').message.endedUnixNs).toBeGreaterThan(0n);
  vi.advanceTimersByTime(4_000);
  expect(start('door').message.endedUnixNs).toBe(0n);
  vi.advanceTimersByTime(59_999);
  expect(events.stop('door').message.end).toBe(EventEnd.EVENT_END_STOPPED);
  start('door');
  vi.advanceTimersByTime(65_000);
  expect((await clips.described(1)).events).toMatchObject([{ event: 'door', end: EventEnd.EVENT_END_MAX_LENGTH }]);
});

test('there are so many events and no more; names that sink gives are free ones', () => {
  const { events, start } = rig();
  events.attach(OUTPUT);
  expect(start('event-1').message.event).toBe('event-1');
  expect(start('').message.event).toBe('event-2');
  for (let n = 3; n <= 32; n++) start('');
  expect(() => start('')).toThrow('32 events go on already');
  expect(() => events.stop('other')).toThrow('no event "other" goes on');
});

test('a clip takes up events for max_length; then they begin another one, while it goes on', async () => {
  const { events, clips, start } = rig();
  events.attach(OUTPUT);
  start('door');
  vi.advanceTimersByTime(59_000);
  expect(start('window').clip.files).toEqual([clips.file(1)]);
  vi.advanceTimersByTime(1_000);
  expect(start('alarm').clip.files).toEqual([clips.file(2)]);
  expect(events.files()).toEqual([clips.file(1), clips.file(2)]);
  expect(start('window').clip.files).toEqual([clips.file(1)]);
  vi.advanceTimersByTime(64_000);
  expect((await clips.described(1)).events.map(({ event }) => event)).toEqual(['door', 'window']);
  expect(clips.begun.map(({ isEnded }) => isEnded)).toEqual([true, false]);
  vi.advanceTimersByTime(1_000);
  expect((await clips.described(2)).events.map(({ event }) => event)).toEqual(['alarm']);
});

test('a failure is told to who waits for the file, and the next one who asks hears how it is then', async () => {
  const { events, clips, start } = rig();
  events.attach(OUTPUT);
  const { clip } = start('door');
  clips.begun[0]?.tell({ type: 'failed', code: 'RECORDING_FAILED', message: 'no room' });
  await expect(clip.firstFile()).rejects.toThrow('event of gate: no room');
  clips.begun[0]?.tell({ type: 'begun', file: clips.file(7) });
  expect(await clip.firstFile()).toBe(clips.file(1));
});

test('a rule keeps its event up while it holds', async () => {
  const { events, clips } = rig('rules: [{name: crowd, labels: [person]}]');
  events.attach(OUTPUT);
  const see = (label: string, seconds: number): void => {
    for (let n = 0; n < seconds * 10; n++) {
      const detections = [Detection.fromPartial({ label, confidence: 1 })];
      events.see(DetectionRecord.fromPartial({ status: InferenceStatus.INFERENCE_STATUS_INFERRED, detections }));
      vi.advanceTimersByTime(100);
    }
  };
  see('car', 1);
  expect(clips.begun).toEqual([]);
  see('person', 3);
  // Less than a second, then more than that and the post-roll.
  see('car', 0.9);
  see('person', 1);
  see('car', 7);
  const [crowd] = (await clips.described(1)).events;
  expect(crowd).toMatchObject({ event: 'crowd', source: EventSource.EVENT_SOURCE_RULE, end: EventEnd.EVENT_END_STOPPED });
  expect(Number((crowd?.endedUnixNs ?? 0n) - (crowd?.startedUnixNs ?? 0n)) / 1e6).toBe(5_900);
});

test('what holds before the first picture begins with it', () => {
  const { events, clips } = rig('rules: [{name: any, labels: [person]}]');
  const record = DetectionRecord.fromPartial({
    status: InferenceStatus.INFERENCE_STATUS_INFERRED,
    detections: [Detection.fromPartial({ label: 'person', confidence: 0.9, box: { x: 0, y: 0, width: 9, height: 9 } })],
  });
  events.see(record);
  events.attach(OUTPUT);
  expect(clips.begun).toEqual([]);
  events.see(record);
  expect(clips.begun).toHaveLength(1);
});

test('the end of sink ends events and their clip', async () => {
  const { events, clips, start } = rig();
  events.attach(OUTPUT);
  start('door');
  // Another output: the stream's pictures have changed.
  events.attach(OUTPUT);
  expect(clips.begun.map(({ preRollMs }) => preRollMs)).toEqual([5_000, 0]);
  expect(events.files()).toEqual([clips.file(1), clips.file(2)]);
  await events.close();
  expect(clips.begun.every(({ isEnded }) => isEnded)).toBe(true);
  expect(await clips.described(2)).toMatchObject({ files: ['1.mp4', '2.mp4'], events: [{ end: EventEnd.EVENT_END_CLOSED }] });
  expect(events.files()).toEqual([]);
});
