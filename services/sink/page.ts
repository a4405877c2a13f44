import type { ServerResponse } from 'node:http';
import { FramebusError } from '../../lib/errors.js';
import { sendJson, type HttpRoute } from '../../lib/http.js';
import type { LiveViews } from './live_view.js';
import type { PageEvents } from './page_events.js';
import { pageFileRoutes, setPageHeaders } from './page_files.js';
import type { PageStatus } from './page_status.js';
import { DEFAULT_QUALITY, takeSnapshot, takeTiles } from './snapshot_service.js';
import type { SnapshotOptions } from './stream.js';
import type { Streams } from './streams.js';
import type { TiledOutputs } from './tiled_outputs.js';

export interface PageParts {
  streams: Pick<Streams, 'withPicture'>;
  tiles: Pick<TiledOutputs, 'require'>;
  views: LiveViews;
  events: PageEvents;
  status: () => PageStatus;
}

/** Everything that the sink serves to browsers. */
export function pageRoutes({ streams, tiles, views, events, status }: PageParts): HttpRoute[] {
  return [
    ...pageFileRoutes(),
    {
      method: 'GET',
      path: '/api/status',
      handle: ({ response }) => {
        setPageHeaders(response);
        sendJson(response, 200, status());
      },
    },
    {
      method: 'GET',
      path: '/api/events',
      handle: ({ response, url }) => {
        events.add(response, url.searchParams.get('alone'));
        events.send('status', status());
      },
    },
    {
      method: 'GET',
      path: '/streams/:id/live.mp4',
      handle: ({ incoming, response, params, url }) => {
        setPageHeaders(response);
        if (incoming.method === 'HEAD') response.end();
        else views.serve(params['id'] ?? '', url.searchParams.get('output') ?? '', response);
      },
    },
    {
      method: 'GET',
      path: '/streams/:id/snapshot.jpg',
      handle: async ({ response, params, url }) => {
        setPageHeaders(response);
        const { jpeg } = await takeSnapshot(streams, params['id'] ?? '', snapshotOptions(url));
        sendJpeg(response, jpeg);
      },
    },
    ...tilesRoutes(tiles, views),
  ];
}

function tilesRoutes(tiles: PageParts['tiles'], views: LiveViews): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/tiles/:name/live.mp4',
      handle: ({ incoming, response, params }) => {
        setPageHeaders(response);
        if (incoming.method === 'HEAD') response.end();
        else views.serveTiles(tiles.require(params['name'] ?? ''), response);
      },
    },
    {
      method: 'GET',
      path: '/tiles/:name/snapshot.jpg',
      handle: async ({ response, params, url }) => {
        setPageHeaders(response);
        const quality = Number(url.searchParams.get('quality') ?? DEFAULT_QUALITY);
        sendJpeg(response, await takeTiles(tiles, params['name'] ?? '', quality));
      },
    },
  ];
}

function snapshotOptions({ searchParams }: URL): SnapshotOptions {
  const quality = Number(searchParams.get('quality') ?? DEFAULT_QUALITY);
  const clean = searchParams.get('clean') ?? '0';
  if (clean !== '0' && clean !== '1') throw new FramebusError('OPTION_INVALID', `clean: "${clean}" is not 0 or 1`);
  return { quality, output: searchParams.get('output') ?? '', clean: clean === '1' };
}

function sendJpeg(response: ServerResponse, jpeg: Uint8Array): void {
  response.writeHead(200, { 'content-type': 'image/jpeg', 'content-length': jpeg.byteLength });
  response.end(jpeg);
}
