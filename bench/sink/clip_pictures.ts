import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

/** Raw pictures of a clip, for whoever encodes them: a file each, I420 without padding. */
export interface ClipPictures {
  folder: string;
  width: number;
  height: number;
  count: number;
}

export const PICTURES_PER_SECOND = 30;

const NAME = 'picture-%04d.i420';
export const pictureFile = ({ folder }: Pick<ClipPictures, 'folder'>, index: number): string =>
  path.join(folder, NAME.replace('%04d', String(index).padStart(4, '0')));
/** For multifilesrc. */
export const pictureFiles = ({ folder }: Pick<ClipPictures, 'folder'>): string => path.join(folder, NAME);

/** The first pictures of a clip, scaled. */
export async function clipPictures(clip: string, pictures: ClipPictures): Promise<ClipPictures> {
  const { folder, width, height, count } = pictures;
  mkdirSync(folder, { recursive: true });
  await promisify(execFile)('gst-launch-1.0', [
    ...['-q', 'uridecodebin3', `uri=file://${clip}`, '!', 'videoconvert', '!', 'videoscale', 'add-borders=false', '!'],
    ...[`video/x-raw,format=I420,width=${width},height=${height}`, '!', 'identity', `eos-after=${count + 1}`, '!'],
    ...['multifilesink', `location=${pictureFiles(pictures)}`],
  ]);
  return { ...pictures, count: Math.min(count, readdirSync(folder).length) };
}
