import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LiveBundles } from '../../../services/sink/live_bundle.js';
import { BundleReader } from '../../../services/sink/page/live_bundle.mjs';
import { eventually } from '../../helpers/eventually.js';

const data = (text) => ({ type: 'data', init: false, data: Buffer.from(text) });

/** Bundles of the streams "gate" and "yard", behind a real server. */
async function setUp() {
  // Viewers as the addon has them, seen from their other end.
  const watched = [];
  const bundles = new LiveBundles({
    withPicture: (stream) => {
      if (stream !== 'gate' && stream !== 'yard') throw new Error('no such stream');
      return {
        openViewer: (tell) => {
          const viewer = { stream, tell, acknowledged: 0, closed: false };
          watched.push(viewer);
          return {
            acknowledge: (bytes) => (viewer.acknowledged += bytes),
            close: () => (viewer.closed = true),
          };
        },
      };
    },
  });
  const server = createServer((_, response) => {
    bundles.serve(response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { bundles, watched, url: `http://127.0.0.1:${server.address().port}/` };
}

/** What a browser gets: the name of the bundle, and "CHANNEL TEXT" of each part behind it. */
async function watch(url) {
  const leave = new AbortController();
  onTestFinished(() => leave.abort());
  const got = [];
  const response = await fetch(url, { signal: leave.signal });
  let ended = false;
  void (async () => {
    const reader = new BundleReader();
    for await (const piece of response.body) {
      for (const part of reader.push(piece)) got.push(`${part.channel} ${Buffer.from(part.data).toString()}`);
    }
  })().catch(() => undefined).finally(() => (ended = true));
  const name = await eventually('a name', () => got[0]?.slice(2));
  return { name, got, ended: () => ended, leave: () => leave.abort() };
}

describe('LiveBundles', () => {
  it('sends the pictures of several streams, each in its channel', async () => {
    const { bundles, watched, url } = await setUp();
    const { name, got } = await watch(url);
    bundles.set(name, ['1:gate', '2:yard']);
    expect(watched.map(({ stream }) => stream)).toEqual(['gate', 'yard']);
    expect(bundles.viewers).toBe(2);
    watched[1].tell(data('second'));
    watched[0].tell(data('first'));
    await eventually('both', () => got.length === 3);
    expect(got.slice(1)).toEqual(['2 second', '1 first']);
    await eventually('acknowledged', () => watched[0].acknowledged === 5 && watched[1].acknowledged === 6);
  });

  it('keeps a channel that stays, and ends one that is not wanted any more', async () => {
    const { bundles, watched, url } = await setUp();
    const { name, got } = await watch(url);
    bundles.set(name, ['1:gate', '2:yard']);
    bundles.set(name, ['2:yard', '3:gate']);
    expect(watched.map(({ stream, closed }) => `${stream} ${closed}`)).toEqual(['gate true', 'yard false', 'gate false']);
    watched[2].tell(data('again'));
    await eventually('the new one', () => got.includes('3 again'));
    expect(got.slice(1)).toEqual(['1 ', '3 again']);
  });

  it('says that a channel has ended, or cannot begin, and goes on with the others', async () => {
    const { bundles, watched, url } = await setUp();
    const { name, got } = await watch(url);
    bundles.set(name, ['1:gate', '2:nowhere', '3:yard']);
    watched[0].tell({ type: 'end', reason: 'slow' });
    watched[1].tell(data('on'));
    await eventually('all', () => got.length === 4);
    expect(got.slice(1)).toEqual(['2 ', '1 ', '3 on']);
    expect(watched[0].closed).toBe(true);
  });

  it('closes the viewers of a browser that has gone, and is closed itself', async () => {
    const { bundles, watched, url } = await setUp();
    const gone = await watch(url);
    bundles.set(gone.name, ['1:gate']);
    gone.leave();
    await eventually('closed', () => watched[0].closed);
    expect(() => bundles.set(gone.name, [])).toThrow(/there is no bundle/);
    const last = await watch(url);
    bundles.set(last.name, ['1:yard']);
    bundles.close();
    watched[1].tell(data('late'));
    await eventually('the end', last.ended);
    expect(last.got.slice(1)).toEqual(['1 ']);
  });

  it.each([['x'], ['0:gate'], ['1:'], ['99999999999:gate']])('refuses the channel "%s"', async (channel) => {
    const { bundles, url } = await setUp();
    const { name } = await watch(url);
    expect(() => bundles.set(name, [channel])).toThrow(/is not NUMBER:STREAM/);
    expect(() => bundles.set(name, Array.from({ length: 17 }, (_, i) => `${i + 1}:gate`))).toThrow(/more than 16/);
  });
});
