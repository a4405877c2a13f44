import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { Retention, type RetentionOptions, type RetentionParts } from '../../../../services/sink/recording/retention.js';
import { eventually } from '../../../helpers/eventually.js';
import { tempFolder } from '../../../helpers/temp.js';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 10, 21, 12);

/** A folder of recordings, ten bytes a file. */
class Disk {
  readonly root = tempFolder();
  readonly deleted: string[] = [];
  readonly failed: unknown[] = [];
  freeBytes = 1_000;

  /** A segment that ended so long ago, and began ten minutes before. */
  segment(stream: string, endedMsAgo: number, endings: readonly string[] = ['mp4', 'jsonl']): string {
    const ended = NOW - endedMsAgo;
    const name = new Date(ended - HOUR / 6).toISOString().replaceAll(':', '-');
    const stem = join(this.root, stream, name);
    for (const ending of endings) this.file(`${stream}/${name}.${ending}`, ended);
    return stem;
  }

  file(path: string, modifiedMs = NOW): string {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '0123456789');
    utimesSync(file, modifiedMs / 1000, modifiedMs / 1000);
    return file;
  }

  retention(options: Partial<RetentionOptions> = {}, parts: Partial<RetentionParts> = {}): Retention {
    const rules = ['gate', 'yard/side'].map((stream) => ({ folder: join(this.root, stream), keepMs: 24 * HOUR }));
    const used = (): number =>
      readdirSync(this.root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length * 10;
    const whole = used() + this.freeBytes;
    return new Retention(
      { root: this.root, minFreeBytes: 0, rules, ...options },
      {
        freeBytes: () => Promise.resolve(whole - used()),
        nowMs: () => NOW,
        files: () => [],
        deleted: (file, reason) => this.deleted.push(`${file} ${reason}`),
        failed: (error) => this.failed.push(error),
        ...parts,
      },
    );
  }
}

test('files of events and of saved frames go like segments, those of one name together', async () => {
  const disk = new Disk();
  const clip = disk.segment('gate', 25 * HOUR, ['mp4', 'jsonl', 'json', 'json.part']);
  const frame = disk.segment('gate', 26 * HOUR, ['crowd.jpg', 'crowd.clean.jpg', 'crowd.json']);
  disk.segment('gate', 27 * HOUR, ['a b.jpg', 'crowd.png', 'crowd.more.json']);
  await disk.retention().sweep();
  expect(disk.deleted).toEqual([`${frame}.crowd age`, `${clip} age`]);
  expect(readdirSync(join(disk.root, 'gate'))).toHaveLength(3);
});

test('segments that ended too long ago go, each with its sidecar', async () => {
  const disk = new Disk();
  const old = disk.segment('gate', 25 * HOUR);
  const nested = disk.segment('yard/side', 48 * HOUR);
  // It began before the limit and ended after it.
  const young = disk.segment('gate', 24 * HOUR - 60_000);
  await disk.retention().sweep();
  expect(disk.deleted.sort()).toEqual([`${old} age`, `${nested} age`].sort());
  expect(existsSync(`${old}.mp4`) || existsSync(`${old}.jsonl`) || existsSync(`${nested}.mp4`)).toBe(false);
  expect(existsSync(`${young}.mp4`) && existsSync(`${young}.jsonl`)).toBe(true);
  expect(disk.failed).toEqual([]);
});

test('half a segment goes, too; files of others and folders that nobody records stay', async () => {
  const disk = new Disk();
  disk.segment('gate', 25 * HOUR, ['jsonl']);
  disk.segment('gate', 26 * HOUR, ['mp4']);
  const kept = [
    disk.file('gate/notes.txt', NOW - 99 * HOUR),
    disk.file('gate/2026-11-01.mp4', NOW - 99 * HOUR),
    disk.file('gate/2026-13-41T99-00-00.000Z.mp4', NOW - 99 * HOUR),
    `${disk.segment('formerly', 99 * HOUR)}.mp4`,
  ];
  const outside = tempFolder();
  writeFileSync(join(outside, '2026-01-01T00-00-00.000Z.mp4'), '');
  symlinkSync(outside, join(disk.root, 'gate', 'link'));
  await disk.retention({ rules: [{ folder: join(disk.root, 'gate'), keepMs: 24 * HOUR }] }).sweep();
  expect(disk.deleted).toHaveLength(2);
  expect(kept.filter((file) => !existsSync(file))).toEqual([]);
  expect(readdirSync(outside)).toHaveLength(1);
});

test('for room the oldest of all streams go first, and no more than needed', async () => {
  const disk = new Disk();
  const segments = [
    disk.segment('gate', 5 * HOUR),
    disk.segment('formerly', 4 * HOUR),
    disk.segment('yard/side', 3 * HOUR),
    disk.segment('gate', 2 * HOUR),
  ];
  disk.freeBytes = 100;
  // 35 bytes are missing: two segments of twenty.
  await disk.retention({ minFreeBytes: 135 }).sweep();
  expect(disk.deleted).toEqual(segments.slice(0, 2).map((stem) => `${stem} space`));
  expect(segments.map((stem) => existsSync(`${stem}.mp4`))).toEqual([false, false, true, true]);
});

test('what is being written stays, however little room there is', async () => {
  const disk = new Disk();
  const open = disk.segment('gate', 30 * HOUR);
  disk.segment('gate', 2 * HOUR);
  disk.freeBytes = 0;
  await disk.retention({ minFreeBytes: 10_000 }, { files: () => [`${open}.mp4`] }).sweep();
  expect(disk.deleted).toHaveLength(1);
  expect(existsSync(`${open}.mp4`) && existsSync(`${open}.jsonl`)).toBe(true);
});

test('0 keeps any age and needs no room', async () => {
  const disk = new Disk();
  const stem = disk.segment('gate', 9_999 * HOUR);
  disk.freeBytes = 0;
  await disk.retention({ rules: [{ folder: join(disk.root, 'gate'), keepMs: 0 }] }).sweep();
  expect(disk.deleted).toEqual([]);
  expect(statSync(`${stem}.mp4`).size).toBe(10);
});

test('a root that is not there yet is nothing to speak of; other failures are told', async () => {
  const disk = new Disk();
  const retention = disk.retention();
  rmSync(disk.root, { recursive: true });
  await retention.sweep();
  expect(disk.failed).toEqual([]);
  writeFileSync(disk.root, 'a file');
  await retention.sweep();
  expect(disk.failed).toEqual([expect.objectContaining({ code: 'ENOTDIR' })]);
});

test('it sweeps by itself from the start on, until it is closed', async () => {
  const disk = new Disk();
  disk.segment('gate', 25 * HOUR);
  const retention = disk.retention();
  retention.start();
  await eventually('the segment is gone', () => disk.deleted.length === 1);
  await retention.close();
});
