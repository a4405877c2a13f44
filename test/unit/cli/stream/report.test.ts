import { expect, test } from 'vitest';
import { StreamInfo } from '#proto/framebus/stream/v1/stream_service.js';
import { streamJson, streamReport, streamTable } from '../../../../cli/stream/report.js';

const GATE = StreamInfo.fromPartial({
  streamId: 'gate',
  settings: {
    ...{ model: 'yolox', interval: 2, labels: ['person', 'car'], minConfidence: Math.fround(0.35) },
    ...{ thresholds: { person: Math.fround(0.6) }, region: { x: 0.5, y: 0, width: 0.5, height: 1 } },
  },
  changed: ['interval', 'region'],
  revision: 7n,
});
const YARD = StreamInfo.fromPartial({ streamId: 'yard', settings: {} });

test('all streams, a line each, with a mark beside what was changed', () => {
  expect(streamTable([GATE, YARD])).toBe(
    [
      'stream  model  interval  labels       min confidence  thresholds  region',
      'gate    yolox       2 *  person, car  0.35            person=0.6  0.5,0,0.5,1 *',
      'yard    none          0  all          the model’s     –           whole frame',
      '* changed while running',
    ].join('\n'),
  );
  expect(streamTable([YARD])).not.toContain('changed');
});

test('one stream, a line for each setting', () => {
  expect(streamReport(GATE)).toBe(
    [
      'gate, revision 7',
      '  model           yolox',
      '  interval        2            changed while running',
      '  labels          person, car',
      '  min confidence  0.35',
      '  thresholds      person=0.6',
      '  region          0.5,0,0.5,1  changed while running',
    ].join('\n'),
  );
});

test('as JSON, every setting present, with decimals as somebody wrote them', () => {
  expect(streamJson(GATE)).toEqual({
    streamId: 'gate',
    settings: {
      ...{ model: 'yolox', interval: 2, labels: ['person', 'car'], minConfidence: 0.35 },
      ...{ thresholds: { person: 0.6 }, region: { x: 0.5, y: 0, width: 0.5, height: 1 } },
    },
    changed: ['interval', 'region'],
    revision: 7,
  });
  const nothing = { model: null, interval: 0, labels: [], minConfidence: null, thresholds: {}, region: null };
  expect(streamJson(YARD)).toEqual({ streamId: 'yard', settings: nothing, changed: [], revision: 0 });
});
