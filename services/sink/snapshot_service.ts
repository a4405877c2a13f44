import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { FramebusError } from '../../lib/errors.js';
import { toGrpcError } from '../../lib/rpc.js';
import type {
  GetSnapshotRequest,
  GetSnapshotResponse,
  SnapshotServiceServer,
} from '#proto/framebus/snapshot/v1/snapshot_service.js';
import type { SnapshotOptions } from './stream.js';
import type { Snapshot } from './stream_output.js';
import { noPicture, type Streams } from './streams.js';
import { noTiles, type TiledOutputs } from './tiled_outputs.js';

/** JPEG quality when none is asked for. */
export const DEFAULT_QUALITY = 90;

/**
 * The latest picture of a stream, or its next clean one.
 * Throws STREAM_NOT_FOUND, OUTPUT_NOT_FOUND, STREAM_NO_PICTURE, OPTION_INVALID.
 */
export async function takeSnapshot(
  streams: Pick<Streams, 'withPicture'>,
  streamId: string,
  options: SnapshotOptions,
): Promise<Snapshot> {
  const { quality, output } = options;
  checkQuality(quality);
  const snapshot = await streams.withPicture(streamId, output).snapshot(options);
  if (!snapshot) throw noPicture(streamId, options.clean ? 'no next picture within 5 s' : undefined);
  return snapshot;
}

/** The latest picture of a tiled output as a JPEG. Throws TILES_NOT_FOUND, TILES_NO_PICTURE, OPTION_INVALID. */
export async function takeTiles(tiles: Pick<TiledOutputs, 'require'>, name: string, quality: number): Promise<Uint8Array> {
  checkQuality(quality);
  const jpeg = await tiles.require(name).snapshot(quality);
  if (!jpeg) throw noTiles(name);
  return jpeg;
}

function checkQuality(quality: number): void {
  if (Number.isInteger(quality) && quality >= 1 && quality <= 100) return;
  throw new FramebusError('OPTION_INVALID', `quality: ${quality} is not a whole number from 1 to 100`);
}

/** Serves snapshots to gRPC clients. */
export function snapshotService(streams: Pick<Streams, 'withPicture'>): SnapshotServiceServer {
  return {
    getSnapshot: (
      call: ServerUnaryCall<GetSnapshotRequest, GetSnapshotResponse>,
      done: sendUnaryData<GetSnapshotResponse>,
    ) => {
      const { streamId, quality, output, clean } = call.request;
      takeSnapshot(streams, streamId, { quality: quality === 0 ? DEFAULT_QUALITY : quality, output, clean }).then(
        ({ jpeg, record }) => {
          done(null, { jpeg: Buffer.from(jpeg), record });
        },
        (error: unknown) => {
          done(toGrpcError(error));
        },
      );
    },
  };
}
