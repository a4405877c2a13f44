import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { FramebusError } from '../../lib/errors.js';
import { HttpServer, sendJson, type HttpRoute } from '../../lib/http.js';
import { captureLog, type CapturedLog } from '../helpers/log.js';

const ROUTES: HttpRoute[] = [
  { method: 'GET', path: '/', handle: ({ response }) => void response.end('page') },
  {
    method: 'GET',
    path: '/live/:stream/:part',
    handle: ({ response, params, url }) => {
      sendJson(response, 200, { ...params, q: url.searchParams.get('q') });
    },
  },
  {
    method: 'POST',
    path: '/missing',
    handle: () => {
      throw new FramebusError('STREAM_NOT_FOUND', 'stream "x": not configured');
    },
  },
  { method: 'GET', path: '/bug', handle: () => Promise.reject(new TypeError('x is undefined')) },
  {
    method: 'GET',
    path: '/half',
    handle: ({ response }) => {
      response.write('half');
      throw new Error('in the middle');
    },
  },
  {
    method: 'GET',
    path: '/endless',
    handle: ({ response }) => {
      response.write('first');
    },
  },
];

async function start(): Promise<{ server: HttpServer; base: string; captured: CapturedLog }> {
  const captured = captureLog();
  const server = new HttpServer({ host: '127.0.0.1', port: 0, key: 'sink.http' }, captured.log);
  server.add(...ROUTES);
  const port = await server.listen();
  onTestFinished(() => server.close(0));
  return { server, base: `http://127.0.0.1:${port}`, captured };
}

test('routes by method and path, with parameters', async () => {
  const { base } = await start();
  expect(await (await fetch(base)).text()).toBe('page');
  expect(await (await fetch(`${base}/live/my%20gate/init?q=1`)).json()).toEqual({ stream: 'my gate', part: 'init', q: '1' });
  expect((await fetch(`${base}/live/gate`)).status).toBe(404);
  expect((await fetch(`${base}/live//init`)).status).toBe(404);
  expect((await fetch(`${base}/live/%E0%A4%A/init`)).status).toBe(404);
  const wrong = await fetch(base, { method: 'POST' });
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET']);
  const head = await fetch(base, { method: 'HEAD' });
  expect([head.status, await head.text()]).toEqual([200, '']);
});

test('an error becomes a status, a code, a message and a remedy', async () => {
  const { base } = await start();
  const answer = await fetch(`${base}/missing`, { method: 'POST' });
  expect(answer.status).toBe(404);
  expect(await answer.json()).toEqual({
    code: 'STREAM_NOT_FOUND',
    message: 'stream "x": not configured',
    remedy: 'Use one of the names under streams: in the configuration.',
  });
});

test('a mistake of ours is 500 and in the log; the server goes on', async () => {
  const { base, captured } = await start();
  expect((await fetch(`${base}/bug`)).status).toBe(500);
  expect(captured.text()).toContain('HTTP request failed');
  await expect((await fetch(`${base}/half`)).text()).rejects.toThrow();
  expect((await fetch(base)).status).toBe(200);
});

test('what is no HTTP harms nobody', async () => {
  const { base } = await start();
  const socket = connect(Number(new URL(base).port), '127.0.0.1');
  socket.end('\u0000\u0001 nonsense\r\n\r\n');
  await once(socket.resume(), 'close');
  expect((await fetch(base)).status).toBe(200);
});

test('close cuts an endless answer after the grace, and may be called twice', async () => {
  const { server, base } = await start();
  const endless = await fetch(`${base}/endless`);
  const ended = endless.text().then(
    () => 'ended',
    () => 'cut',
  );
  await Promise.all([server.close(50), server.close(50)]);
  expect(await ended).toBe('cut');
  await expect(fetch(base)).rejects.toThrow();
});

test('a port in use, a host that is not ours', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const { log } = captureLog();
  await expect(new HttpServer({ host: '127.0.0.1', port, key: 'ingest.http' }, log).listen()).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: `ingest.http.port: 127.0.0.1:${port} is in use by another program`,
  });
  await expect(new HttpServer({ host: '192.0.2.1', port: 0, key: 'ingest.http' }, log).listen()).rejects.toMatchObject({
    code: 'ADDRESS_UNUSABLE',
    message: 'ingest.http.host: 192.0.2.1 is no address of this machine',
  });
});
