import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FramebusError } from '../../../lib/errors.js';
import { createLog, redactUrl, type LogOptions } from '../../../lib/log.js';
import { tempFolder } from '../../helpers/temp.js';

/** What a log writes while a function uses it. */
function written(options: Partial<LogOptions>, use: (log: ReturnType<typeof createLog>) => void): string {
  const file = join(tempFolder(), 'log');
  use(createLog({ service: 'ingest', fd: openSync(file, 'w'), ...options }));
  return readFileSync(file, 'utf8');
}

test.each([
  ['rtsp://joe:secret@cam/1', 'rtsp://***@cam/1'],
  ['rtsp://joe@cam/1', 'rtsp://***@cam/1'],
  ['two rtsp://a:b@c/1, http://d:e@f/2 here', 'two rtsp://***@c/1, http://***@f/2 here'],
  ['rtsp://joe:se@cret@cam/1', 'rtsp://***@cam/1'],
  ['rtsp://joe:se/cret@cam/1', 'rtsp://***@cam/1'],
  ['rtsp://joe:1/2@cam/1', 'rtsp://joe:1/2@cam/1'],
  ['{"url":"rtsp://joe:secret@cam/1"}', '{"url":"rtsp://***@cam/1"}'],
  ['http://cam/s?user=joe&password=secret&x=1', 'http://cam/s?user=joe&password=***&x=1'],
  ['http://cam/s?token=abc', 'http://cam/s?token=***'],
  ['rtsp://cam:8554/a@b', 'rtsp://cam:8554/a@b'],
  ['nats://127.0.0.1:4222', 'nats://127.0.0.1:4222'],
  ['mail joe@example.org', 'mail joe@example.org'],
])('%s is shown as %s', (text, shown) => {
  expect(redactUrl(text)).toBe(shown);
});

test.each(['json', 'text'] as const)('no credentials in message, fields or errors (%s)', (format) => {
  const text = written({ format }, (log) => {
    log.info({ url: 'rtsp://joe:secret@cam/1' }, 'opening rtsp://joe:secret@cam/1');
    log.error({ err: new Error('rtsp://joe:secret@cam/1: no') }, 'failed');
    log.child({ source: 'rtsp://joe:secret@cam/1' }).warn('child');
  });
  expect(text).not.toContain('secret');
  expect(text.match(/rtsp:\/\/\*\*\*@cam\/1/g)?.length).toBeGreaterThanOrEqual(4);
});

test('JSON: one object a line with time, level as a word, service and fields', () => {
  const text = written({ format: 'json', instance: 'ingest-0' }, (log) => {
    log.warn({ stream: 'gate' }, 'camera is gone');
  });
  expect(JSON.parse(text)).toMatchObject({
    level: 'warn',
    service: 'ingest',
    instance: 'ingest-0',
    stream: 'gate',
    msg: 'camera is gone',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
  });
});

test('text: one line with time, level, service, message and fields', () => {
  const text = written({ format: 'text', instance: 'ingest-0' }, (log) => {
    log.warn({ stream: 'gate', attempt: 2 }, 'camera is gone');
  });
  expect(text).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: ingest: camera is gone \{"stream":"gate","attempt":2\}\n$/);
});

test('in text an error of the catalogue stays on the line, another one keeps its stack', () => {
  const [known, ...unknown] = written({ format: 'text' }, (log) => {
    log.warn({ err: new FramebusError('PORT_IN_USE', 'sink.http.port: taken'), stream: 'gate' }, 'a');
    log.error({ err: new TypeError('x') }, 'b');
  }).split('\n');
  expect(known).toMatch(/WARN: ingest: a \{"stream":"gate","code":"PORT_IN_USE","cause":"sink.http.port: taken"\}$/);
  expect(unknown.join('\n')).toContain('log.test.ts');
});

test('errors of the catalogue come without a stack, others with one', () => {
  const [known, native, unknown] = written({ format: 'json' }, (log) => {
    log.error({ err: new FramebusError('PORT_IN_USE', 'sink.http.port: taken') }, 'a');
    log.error({ err: Object.assign(new Error('ingest-0: in use'), { code: 'BUS_IN_USE' }) }, 'b');
    log.error({ err: new TypeError('x') }, 'c');
  })
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { err: Record<string, string> });
  expect(known?.err).toEqual({
    code: 'PORT_IN_USE',
    message: 'sink.http.port: taken',
    remedy: expect.stringContaining('Stop the program') as string,
  });
  expect(native?.err).toMatchObject({ code: 'BUS_IN_USE', message: 'ingest-0: in use' });
  expect(native?.err['stack']).toBeUndefined();
  expect(unknown?.err['stack']).toContain('log.test.ts');
});

test('the level holds', () => {
  expect(
    written({ format: 'json', level: 'warn' }, (log) => {
      log.info('quiet');
    }),
  ).toBe('');
});

test('auto: JSON where nobody looks', () => {
  const text = written({}, (log) => {
    log.info('x');
  });
  expect(() => JSON.parse(text) as unknown).not.toThrow();
});
