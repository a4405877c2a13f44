import type { ServerResponse } from 'node:http';
import { FramebusError } from '../../lib/errors.js';
import type { Viewer, ViewerEvent } from '../../native/contract.js';
import { setPageHeaders } from './page_files.js';
import { noPicture, type Streams } from './streams.js';
import type { TiledOutput } from './tiled_output.js';
import { noTiles } from './tiled_outputs.js';

/** Viewers of all streams together; each has a muxer of its own. */
const MAX_VIEWERS = 64;

type OpenViewer = (listener: (event: ViewerEvent) => void) => Viewer | null;

/** Serves a stream's pictures as one endless fragmented MP4. */
export class LiveViews {
  readonly #streams: Pick<Streams, 'withPicture'>;
  readonly #responses = new Set<ServerResponse>();

  constructor(streams: Pick<Streams, 'withPicture'>) {
    this.#streams = streams;
  }

  get viewers(): number {
    return this.#responses.size;
  }

  /** `output`: '' is the annotated one. Throws STREAM_NOT_FOUND, OUTPUT_NOT_FOUND, STREAM_NO_PICTURE, VIEWERS_FULL. */
  serve(streamId: string, output: string, response: ServerResponse): void {
    const stream = this.#streams.withPicture(streamId, output);
    this.#serve((listener) => stream.openViewer(listener, output), () => noPicture(streamId), response);
  }

  /** The same for a tiled output. Throws TILES_NO_PICTURE, VIEWERS_FULL. */
  serveTiles(tiled: Pick<TiledOutput, 'name' | 'openViewer'>, response: ServerResponse): void {
    this.#serve((listener) => tiled.openViewer(listener), () => noTiles(tiled.name), response);
  }

  #serve(open: OpenViewer, missing: () => FramebusError, response: ServerResponse): void {
    if (this.#responses.size >= MAX_VIEWERS) {
      throw new FramebusError('VIEWERS_FULL', `page: ${MAX_VIEWERS} viewers watch already`);
    }
    const viewer = open((event) => {
      if (event.type === 'end') {
        response.end();
        return;
      }
      const { data } = event;
      response.write(data, () => viewer?.acknowledge(data.byteLength));
    });
    if (!viewer) throw missing();
    this.#responses.add(response);
    response.on('close', () => {
      this.#responses.delete(response);
      viewer.close();
    });
    setPageHeaders(response);
    response.writeHead(200, { 'content-type': 'video/mp4' });
    response.flushHeaders();
  }

  close(): void {
    for (const response of this.#responses) response.end();
  }
}
