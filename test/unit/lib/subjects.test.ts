import { expect, test } from 'vitest';
import * as subjects from '../../../lib/subjects.js';

test('every subject of a stream', () => {
  expect(subjects.frames('ssd', 'gate')).toBe('fb.frames.ssd.gate');
  expect(subjects.losslessFrames('ssd', 'gate')).toBe('fb.lossless.ssd.gate');
  expect(subjects.framesOfModel('ssd')).toBe('fb.frames.ssd.*');
  expect(subjects.losslessFramesOfModel('ssd')).toBe('fb.lossless.ssd.*');
  expect(subjects.results('gate')).toBe('fb.results.gate');
  expect(subjects.triggers('gate')).toBe('fb.triggers.gate');
  expect(subjects.detections('gate')).toBe('fb.detections.gate');
  expect(subjects.status('infer', 'infer-0')).toBe('fb.status.infer.infer-0');
  expect(subjects.tapRequests('gate')).toBe('fb.tap.gate');
  expect(subjects.tapFrames('gate', 'archive', 'archive-1')).toBe('fb.taps.gate.archive.archive-1');
  expect(subjects.frameConsumer('ssd')).toBe('infer-ssd');
  expect(subjects.losslessFrameConsumer('ssd')).toBe('infer-lossless-ssd');
  expect(subjects.desiredStream('gate')).toBe('stream.gate');
  expect(subjects.desiredModel('ssd')).toBe('model.ssd');
  expect(subjects.nameOfKey(subjects.desiredStream('gate'))).toBe('gate');
});

test.each(['', 'a.b', 'a*', '>', 'a b', 'ä', 'x'.repeat(65)])('"%s" cannot become part of one', (name) => {
  expect(() => subjects.results(name)).toThrow(RangeError);
  expect(() => subjects.frames('ssd', name)).toThrow(RangeError);
  expect(() => subjects.frames(name, 'gate')).toThrow(RangeError);
  expect(() => subjects.desiredStream(name)).toThrow(RangeError);
});

test('wildcards fit the subjects that they are for', () => {
  const fits = (wildcard: string, subject: string): boolean =>
    new RegExp(`^${wildcard.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`).test(subject);
  expect(fits(subjects.ALL_FRAMES, subjects.frames('m', 's'))).toBe(true);
  expect(fits(subjects.ALL_LOSSLESS_FRAMES, subjects.losslessFrames('m', 's'))).toBe(true);
  expect(fits(subjects.ALL_RESULTS, subjects.results('s'))).toBe(true);
  expect(fits(subjects.ALL_DETECTIONS, subjects.detections('s'))).toBe(true);
  expect(fits(subjects.ALL_TRIGGERS, subjects.triggers('s'))).toBe(true);
  expect(fits(subjects.ALL_STATUS, subjects.status('a', 'b'))).toBe(true);
  expect(fits(subjects.ALL_FRAMES, subjects.losslessFrames('m', 's'))).toBe(false);
  expect(fits(subjects.ALL_DESIRED_STREAMS, subjects.desiredStream('s'))).toBe(true);
  expect(fits(subjects.ALL_DESIRED_STREAMS, subjects.desiredModel('m'))).toBe(false);
  expect(fits(subjects.ALL_DESIRED_MODELS, subjects.desiredModel('m'))).toBe(true);
});
