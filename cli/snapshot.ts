import { Metadata } from '@grpc/grpc-js';
import { InvalidArgumentError, type Command } from 'commander';
import {
  SnapshotServiceClient,
  type GetSnapshotRequest,
  type GetSnapshotResponse,
} from '#proto/framebus/snapshot/v1/snapshot_service.js';
import { addressOption, callError, openClient } from './client.js';
import { savePicture } from './picture_file.js';

const DEADLINE_MS = 10_000;

interface SnapshotOptions {
  address: string;
  quality: number;
  output: string;
  clean: boolean;
}

/** Adds `framebus snapshot`. */
export function registerSnapshot(program: Command): void {
  program
    .command('snapshot')
    .description('Save the latest picture of a stream as JPEG, with its boxes unless told otherwise')
    .argument('<stream>', 'name of the stream')
    .argument('<file>', 'where to; "-" is stdout')
    .addOption(addressOption())
    .option('-q, --quality <1-100>', 'JPEG quality', parseQuality, 90)
    .option('-o, --output <name>', "one of the stream's further outputs instead", '')
    .option('--clean', 'the next picture, with nothing drawn in it; what is to be concealed is so', false)
    .addHelpText(
      'after',
      '\nExamples:\n  framebus snapshot gate out.jpg\n  framebus snapshot gate - | display\n  framebus snapshot gate out.jpg --clean',
    )
    .action(async (stream: string, file: string, { address, ...wanted }: SnapshotOptions) => {
      const { jpeg, record } = await getSnapshot(address, { streamId: stream, ...wanted });
      if (file === '-') {
        process.stdout.write(jpeg);
        return;
      }
      savePicture(file, jpeg);
      process.stdout.write(`${file}: ${seenIn(record, wanted.output).join(', ')}\n`);
    });
}

/** What is known of a picture; that of a further output may have another size than the record's frame. */
function seenIn(record: GetSnapshotResponse['record'], output: string): string[] {
  if (record === undefined) return [];
  const seen = [`frame ${record.seq}`, `${record.detections.length} detections`];
  return output === '' ? [`${record.width}×${record.height}`, ...seen] : [output, ...seen];
}

function parseQuality(text: string): number {
  const quality = Number(text);
  if (Number.isInteger(quality) && quality >= 1 && quality <= 100) return quality;
  throw new InvalidArgumentError('Give a whole number from 1 to 100.');
}

function getSnapshot(address: string, request: GetSnapshotRequest): Promise<GetSnapshotResponse> {
  const client = openClient(SnapshotServiceClient, address);
  return new Promise<GetSnapshotResponse>((resolve, reject) => {
    const deadline = Date.now() + DEADLINE_MS;
    client.getSnapshot(request, new Metadata(), { deadline }, (error, response) => {
      if (error === null) resolve(response);
      else reject(callError(error, address));
    });
  }).finally(() => {
    client.close();
  });
}
