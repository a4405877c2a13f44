import { describe, expect, it } from 'vitest';
import { DROP_REASONS } from '../../../lib/counters.js';
import { addressesOf } from '../../../services/sink/page/addresses.mjs';
import { BundleReader } from '../../../services/sink/page/live_bundle.mjs';
import { concat } from '../../../services/sink/page/mp4.mjs';
import { countedReasons, REASONS } from '../../../services/sink/page/reasons.mjs';
import { Stages, STAGES } from '../../../services/sink/page/stages.mjs';
import { stagesMs } from '../../../services/sink/seen_frame.js';
import { StageDurations } from '../../../gen/framebus/detection/v1/stage_durations.js';

describe('reasons on the page', () => {
  it.each(DROP_REASONS)('says in words what %s is', (reason) => {
    expect(REASONS[reason]?.words).toMatch(/^[a-z]/);
    expect(REASONS[reason]?.why).toMatch(/^[A-Z].*[.?]$/);
  });

  it('puts the most frequent first, and shows one that it does not know', () => {
    const reasons = countedReasons({ late: 2, overloaded: 7, stale: 0, of_tomorrow: 1 });
    expect(reasons.map(({ words, count }) => `${count} ${words}`)).toEqual(['7 inference busy', '2 result too late', '1 of tomorrow']);
  });
});

describe('Stages', () => {
  const zeros = Object.fromEntries(Object.keys(StageDurations.fromPartial({})).map((key) => [key, 1_234_567n]));

  it('names every stage that a record has', () => {
    expect(Object.keys(stagesMs(zeros)).sort()).toEqual(Object.keys(STAGES).sort());
    expect(stagesMs({ engineNs: 1_234_567n, batchNs: undefined })).toEqual({ engine: 1.23 });
  });

  it('gives the median and the largest, in the order of the way, one after the other', () => {
    const stages = new Stages();
    for (const [engine, dispatch] of [[10, 30], [11, 90], [12, 30]]) stages.add({ engine, dispatch });
    const rows = stages.rows().map(({ name, medianMs, mostMs }) => [name, medianMs, mostMs]);
    expect(rows).toEqual([['dispatch', 30, 90], ['engine', 11, 12]]);
    expect(stages.rows()[1].start).toBeCloseTo(30 / 41);
    expect(stages.rows()[1].share).toBeCloseTo(11 / 41);
  });

  it('forgets', () => {
    const stages = new Stages();
    stages.add({ engine: 500 });
    for (let i = 0; i < 50; i++) stages.add({ engine: 10 });
    expect(stages.rows()[0].mostMs).toBe(10);
  });
});

describe('addressesOf', () => {
  const addresses = { rtsp: 'rtsp://0.0.0.0:8554', grpc: '[::]:50051' };

  it('leads to the server that brought the page', () => {
    const host = 'nvr.example';
    const [rtsp, grpc] = addressesOf(addresses, { kind: 'streams', name: 'gate', output: 'small' }, host);
    expect(rtsp.text).toBe('rtsp://nvr.example:8554/gate/small');
    expect(grpc.text).toContain(`-d '{"stream_ids":["gate"]}' nvr.example:50051 `);
    expect(addressesOf(addresses, { kind: 'tiles', name: 'wall', output: '' }, host).map(({ text }) => text)).toEqual(['rtsp://nvr.example:8554/wall']);
  });

  it('does not let a name into the shell', () => {
    const [command] = addressesOf({ grpc: 'host:1' }, { kind: 'streams', name: `it's`, output: '' }, '');
    expect(command.text).toContain(`'{"stream_ids":["it'\\''s"]}'`);
  });
});

describe('BundleReader', () => {
  const part = (channel, text) => {
    const head = new DataView(new ArrayBuffer(8));
    head.setUint32(0, channel);
    head.setUint32(4, text.length);
    return concat([new Uint8Array(head.buffer), new TextEncoder().encode(text)]);
  };
  const bytes = concat([part(0, 'name'), part(7, 'abc'), part(8, ''), part(7, 'defgh')]);
  const whole = ['0 name', '7 abc', '8 ', '7 defgh'];

  it.each([1, 3, 8, 11, 1000])('puts parts together from pieces of %d bytes', (size) => {
    const reader = new BundleReader();
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(...reader.push(bytes.slice(at, at + size)));
    expect(parts.map(({ channel, data }) => `${channel} ${new TextDecoder().decode(data)}`)).toEqual(whole);
  });
});
