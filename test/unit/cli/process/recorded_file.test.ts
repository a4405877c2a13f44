import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readRecorded } from '../../../../cli/process/recorded_file.js';
import { tempFolder } from '../../../helpers/temp.js';

const line = (record: object): string => `${JSON.stringify({ frame: 0, pts: 0, timeNs: '0', keyframe: true, bytes: 5, record })}\n`;

test('the lines of all segments become one file, at the times of the pictures', async () => {
  const folder = tempFolder();
  writeFileSync(join(folder, '2026-01-01T00-00-02.000Z.jsonl'), line({ ptsNs: '80000000', detections: [{}, {}] }));
  writeFileSync(join(folder, '2026-01-01T00-00-01.000Z.jsonl'), line({ seq: '0' }) + line({ ptsNs: '40000000' }));
  const lines = join(folder, 'lines');
  const { videos, timesNs, detections } = await readRecorded(folder, 7n, lines);
  expect(videos).toEqual(['01', '02'].map((second) => join(folder, `2026-01-01T00-00-${second}.000Z.mp4`)));
  expect(timesNs).toEqual([7n, 40_000_007n, 80_000_007n]);
  expect(detections).toBe(2);
  const written = readFileSync(lines, 'utf8').trimEnd().split('\n').map((text) => JSON.parse(text) as { frame: number; timeNs: string });
  expect(written.map(({ frame, timeNs }) => [frame, timeNs])).toEqual([[0, '7'], [1, '40000007'], [2, '80000007']]);
});

test('times that do not rise are an error', async () => {
  const folder = tempFolder();
  writeFileSync(join(folder, 'a.jsonl'), line({ ptsNs: '5' }) + line({ ptsNs: '5' }));
  await expect(readRecorded(folder, 0n, null)).rejects.toMatchObject({ code: 'FRAMES_MISSING' });
});

test('a file of lines that cannot be written is an error', async () => {
  const folder = tempFolder();
  writeFileSync(join(folder, 'a.jsonl'), line({ ptsNs: '5' }));
  await expect(readRecorded(folder, 0n, '/dev/full')).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
});
