import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ROOT } from './process.js';

/** The sample clip that set-up fetches: 795 frames, 768×576, 10 fps. */
export const SAMPLE_CLIP = join(
  process.env['FRAMEBUS_CACHE'] ?? join(ROOT, '.cache', 'framebus'),
  'vtest.avi',
);

/** Folder of the shared test data; it is not part of the project. */
export const TEST_DATA = resolve(ROOT, process.env['FRAMEBUS_TEST_DATA'] ?? '../shared/data');

/** Whether a file of the shared test data is here; a test without it says that it skipped. */
export const hasTestData = (path: string): boolean => existsSync(join(TEST_DATA, path));

/** What a plain decoder gets out of a clip of the shared data. */
export interface ProbedClip {
  file: string;
  frames: number;
}

/**
 * PROBE.txt was made with -vsync vfr, which drops pictures that come quickly one
 * after the other; the container and ffprobe -count_frames say how many there are.
 */
const VARIABLE_RATE = new Map([['robust/mediabunny_cursed-vfr.mp4', 63]]);

/** Reads video/PROBE.txt: file name → number of frames that ffmpeg decodes. */
export function probedClips(): ProbedClip[] {
  return readFileSync(join(TEST_DATA, 'video', 'PROBE.txt'), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [name] = line.split(' | ');
      const frames = /decoded=(\d+)/.exec(line)?.[1];
      if (name === undefined || frames === undefined) return [];
      const file = join(TEST_DATA, 'video', name);
      return [{ file, frames: VARIABLE_RATE.get(name) ?? Number(frames) }];
    });
}
