import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { FramebusError } from '../../lib/errors.js';
import type { HttpRoute } from '../../lib/http.js';
import type { Viewer } from '../../native/contract.js';
import { setPageHeaders } from './page_files.js';
import type { Streams } from './streams.js';

/** Browsers that watch in this way at once. */
const MAX_BUNDLES = 32;
/** Pictures in one bundle; each has a muxer of its own. */
const MAX_CHANNELS = 16;

/**
 * The live pictures of many streams in one answer, because a browser opens no more than six
 * connections to a server. The first part is its name; then come parts of the streams' fragmented
 * MP4s. Each part: number of its channel and length, 32 bits each, big-endian, and so many bytes.
 * Length 0: the channel has ended. Channel 0 is the name.
 */
class LiveBundle {
  readonly #streams: Pick<Streams, 'withPicture'>;
  readonly #response: ServerResponse;
  readonly #viewers = new Map<number, Viewer>();

  constructor(name: string, streams: Pick<Streams, 'withPicture'>, response: ServerResponse) {
    this.#streams = streams;
    this.#response = response;
    this.#send(0, Buffer.from(name));
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** From now on these channels, and no others. */
  set(wanted: ReadonlyMap<number, string>): void {
    for (const [channel, viewer] of this.#viewers) {
      if (!wanted.has(channel)) this.#end(channel, viewer);
    }
    for (const [channel, streamId] of wanted) {
      if (!this.#viewers.has(channel)) this.#open(channel, streamId);
    }
  }

  close(): void {
    for (const [channel, viewer] of this.#viewers) this.#end(channel, viewer);
    this.#response.end();
  }

  #open(channel: number, streamId: string): void {
    try {
      const viewer = this.#streams.withPicture(streamId).openViewer((event) => {
        if (event.type === 'end') {
          if (viewer) this.#end(channel, viewer);
          return;
        }
        const { data } = event;
        this.#send(channel, data, () => viewer?.acknowledge(data.byteLength));
      });
      if (viewer) this.#viewers.set(channel, viewer);
      else this.#send(channel);
    } catch {
      // No such stream, or no picture yet: the browser shows what the status says, and asks again.
      this.#send(channel);
    }
  }

  #end(channel: number, viewer: Viewer): void {
    if (this.#viewers.get(channel) !== viewer) return;
    this.#viewers.delete(channel);
    viewer.close();
    this.#send(channel);
  }

  #send(channel: number, data: Uint8Array = new Uint8Array(), sent: () => void = () => undefined): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    const head = Buffer.alloc(8);
    head.writeUInt32BE(channel, 0);
    head.writeUInt32BE(data.byteLength, 4);
    this.#response.cork();
    this.#response.write(head);
    this.#response.write(data, sent);
    this.#response.uncork();
  }
}

/** The bundles that browsers watch now. */
export class LiveBundles {
  readonly #streams: Pick<Streams, 'withPicture'>;
  readonly #bundles = new Map<string, LiveBundle>();

  constructor(streams: Pick<Streams, 'withPicture'>) {
    this.#streams = streams;
  }

  /** Pictures that are watched. */
  get viewers(): number {
    return [...this.#bundles.values()].reduce((sum, bundle) => sum + bundle.viewers, 0);
  }

  /** Opens a bundle without channels. Throws VIEWERS_FULL. */
  serve(response: ServerResponse): void {
    if (this.#bundles.size >= MAX_BUNDLES) {
      throw new FramebusError('VIEWERS_FULL', `page: ${MAX_BUNDLES} browsers watch already`);
    }
    setPageHeaders(response);
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    // What knows the name may say what is in the bundle, so nobody must be able to guess it.
    const name = randomUUID();
    const bundle = new LiveBundle(name, this.#streams, response);
    this.#bundles.set(name, bundle);
    response.on('close', () => {
      this.#bundles.delete(name);
      bundle.close();
    });
  }

  /** Sets the channels of a bundle, each as "NUMBER:STREAM". Throws VIEW_NOT_FOUND, OPTION_INVALID. */
  set(name: string, channels: readonly string[]): void {
    const bundle = this.#bundles.get(name);
    if (!bundle) throw new FramebusError('VIEW_NOT_FOUND', `page: there is no bundle "${name}"`);
    bundle.set(parseChannels(channels));
  }

  close(): void {
    for (const bundle of this.#bundles.values()) bundle.close();
  }
}

/** How browsers open a bundle, and say what is to be in it. */
export function bundleRoutes(bundles: LiveBundles): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/api/bundles',
      handle: ({ incoming, response }) => {
        setPageHeaders(response);
        if (incoming.method === 'HEAD') response.end();
        else bundles.serve(response);
      },
    },
    {
      method: 'POST',
      path: '/api/bundles/:name',
      handle: ({ response, params, url }) => {
        setPageHeaders(response);
        bundles.set(params['name'] ?? '', url.searchParams.getAll('channel'));
        response.writeHead(204).end();
      },
    },
  ];
}

function parseChannels(channels: readonly string[]): Map<number, string> {
  if (channels.length > MAX_CHANNELS) {
    throw new FramebusError('OPTION_INVALID', `channel: ${channels.length} are more than ${MAX_CHANNELS}`);
  }
  return new Map(
    channels.map((text) => {
      const [, number, streamId] = /^([1-9]\d{0,8}):(.+)$/.exec(text) ?? [];
      if (number !== undefined && streamId !== undefined) return [Number(number), streamId];
      throw new FramebusError('OPTION_INVALID', `channel: "${text}" is not NUMBER:STREAM`);
    }),
  );
}
