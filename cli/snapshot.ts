import { Metadata } from '@grpc/grpc-js';
import { InvalidArgumentError, type Command } from 'commander';
import {
  SnapshotServiceClient,
  type GetSnapshotResponse,
} from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { addressOption, callError, openClient } from './client.js';
import { savePicture } from './picture_file.js';

const DEADLINE_MS = 10_000;

interface SnapshotOptions {
  address: string;
  quality: number;
}

/** Adds `framebus snapshot`. */
export function registerSnapshot(program: Command): void {
  program
    .command('snapshot')
    .description('Save the latest picture of a stream, with its boxes, as JPEG')
    .argument('<stream>', 'name of the stream')
    .argument('<file>', 'where to; "-" is stdout')
    .addOption(addressOption())
    .option('-q, --quality <1-100>', 'JPEG quality', parseQuality, 90)
    .addHelpText('after', '\nExamples:\n  framebus snapshot gate out.jpg\n  framebus snapshot gate - | display')
    .action(async (stream: string, file: string, { address, quality }: SnapshotOptions) => {
      const { jpeg, record } = await getSnapshot(address, stream, quality);
      if (file === '-') {
        process.stdout.write(jpeg);
        return;
      }
      savePicture(file, jpeg);
      const seen = record === undefined ? '' : `, frame ${record.seq}, ${record.detections.length} detections`;
      const size = record === undefined ? '' : ` ${record.width}×${record.height}`;
      process.stdout.write(`${file}:${size}${seen}\n`);
    });
}

function parseQuality(text: string): number {
  const quality = Number(text);
  if (Number.isInteger(quality) && quality >= 1 && quality <= 100) return quality;
  throw new InvalidArgumentError('Give a whole number from 1 to 100.');
}

function getSnapshot(address: string, streamId: string, quality: number): Promise<GetSnapshotResponse> {
  const client = openClient(SnapshotServiceClient, address);
  return new Promise<GetSnapshotResponse>((resolve, reject) => {
    const deadline = Date.now() + DEADLINE_MS;
    client.getSnapshot({ streamId, quality }, new Metadata(), { deadline }, (error, response) => {
      if (error === null) resolve(response);
      else reject(callError(error, address));
    });
  }).finally(() => {
    client.close();
  });
}
