import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { ProcessReport } from '../../cli/process/report.js';
import { cacheDirectory } from '../../lib/config/locations.js';
import { DetectionRecord } from '#proto/framebus/detection/v1/record.js';
import { ffmpegTool } from '../helpers/output_rig.js';
import { probed } from '../helpers/probed.js';
import { runNode, type TestProcess } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

const PATIENCE = { timeout: 240_000 };
const [WIDTH, HEIGHT] = [768, 576];
/** Of a tick of the file that is written, and of ffprobe's decimals. */
const SHORTEST_S = 2e-6;
const MATROSKA_S = 1.1e-3;

interface Line {
  frame: number;
  timeNs: string;
  record: unknown;
}

/** `framebus process` with a temporary folder of its own, so that what it leaves can be seen. */
function processed(...args: string[]): { process: TestProcess; temporary: string } {
  const temporary = tempFolder();
  return { process: runNode(['dist/cli/main.js', 'process', ...args], { env: { TMPDIR: temporary } }), temporary };
}

async function clip(name: string, args: readonly string[]): Promise<string> {
  const file = join(tempFolder(), name);
  await ffmpegTool('ffmpeg', [...args, '-threads', '2', file]);
  return file;
}

/** Four seconds of people, with B-frames and sound. */
function people(): Promise<string> {
  const source = join(cacheDirectory(null, process.cwd(), process.env), 'vtest.avi');
  return clip('people.mp4', [
    ...['-ss', '10', '-t', '4', '-i', source, '-f', 'lavfi', '-t', '4', '-i', 'sine=440:r=48000'],
    ...['-c:v', 'libx264', '-bf', '3', '-preset', 'veryfast', '-c:a', 'aac', '-ac', '2'],
  ]);
}

const linesOf = (file: string): Line[] => readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Line);

function expectTimes(actual: readonly number[], expected: readonly number[], beginS: number, toleranceS: number): void {
  expect(actual).toHaveLength(expected.length);
  for (const [n, time] of actual.entries()) {
    expect(Math.abs(time - ((expected[n] ?? 0) - beginS)), `picture ${n}`).toBeLessThan(toleranceS);
  }
}

async function luma(file: string): Promise<Buffer> {
  return ffmpegTool('ffmpeg', ['-i', file, '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'gray', '-']);
}

test('every frame has its line and its boxes, at its time, and the sound is that of the input', PATIENCE, async () => {
  const input = await people();
  const folder = tempFolder();
  const [out, jsonl] = [join(folder, 'out.mp4'), join(folder, 'out.jsonl')];
  const { process, temporary } = processed(input, '--out', out, '--detections', jsonl, '--interval', '4', '--json');
  expect(await process.exitCode(), process.stderr).toBe(0);
  expect(readdirSync(folder).sort()).toEqual(['out.jsonl', 'out.mp4']);
  expect(readdirSync(temporary)).toEqual([]);

  const [before, after, lines] = [await probed(input), await probed(out), linesOf(jsonl)];
  expectTimes(after.pictures, before.pictures, 0, SHORTEST_S);
  expect(after.codecs).toEqual(['h264', 'aac']);
  // The first packet is cut away by the input's edit list; the last one may be by ours.
  const bytes = before.sound.filter(({ time }) => time >= 0).map((packet) => packet.bytes);
  expect(bytes.slice(0, -1)).toEqual(after.sound.map((packet) => packet.bytes).slice(0, bytes.length - 1));

  expect(lines.map(({ frame }) => frame)).toEqual(before.pictures.map((_, n) => n));
  for (const [n, { timeNs }] of lines.entries()) {
    expect(Math.abs(Number(timeNs) / 1e9 - (after.pictures[n] ?? 0))).toBeLessThan(SHORTEST_S);
  }
  const records = lines.map(({ record }) => DetectionRecord.fromJSON(record));
  const seen = records.flatMap(({ detections }) => detections);
  expect(seen.filter(({ label, trackId }) => label === 'person' && trackId > 0n).length).toBeGreaterThan(lines.length);
  const report = JSON.parse(process.stdout) as ProcessReport;
  expect(report).toMatchObject({ frames: lines.length, detections: seen.length, sound: ['AAC'], warnings: [] });

  // The upper edge of each frame's first box is drawn, and little else is another picture.
  const [plain, drawn] = [await luma(input), await luma(out)];
  const edges = records.flatMap(({ detections: [first] }, n) => {
    const { x = 0, y = 0, width = 0 } = first?.box ?? {};
    if (y < 4 || x < 0 || x + width > WIDTH) return [];
    const at = (row: number, column: number): number => (n * HEIGHT + row) * WIDTH + column;
    const columns = Array.from({ length: Math.floor(width) }, (_, k) => Math.ceil(x) + k).filter((column) => column < WIDTH);
    const changed = [-2, -1, 0, 1].map((row) => Math.max(0, ...columns.map((column) => Math.abs((drawn[at(Math.round(y) + row, column)] ?? 0) - (plain[at(Math.round(y) + row, column)] ?? 0)))));
    return [Math.max(...changed)];
  });
  expect(edges.length).toBeGreaterThan(lines.length / 2);
  expect(edges.filter((change) => change > 20).length).toBeGreaterThan(edges.length * 0.9);
  let difference = 0;
  for (let n = 0; n < plain.length; n += 97) difference += Math.abs((plain[n] ?? 0) - (drawn[n] ?? 0));
  expect(difference / (plain.length / 97)).toBeLessThan(12);
});

test.each([
  // With a gap that is longer than any that a live output would believe.
  ['a .mkv whose rate varies', 'late.mkv', 'out.mp4', ['-vf', "select='not(eq(mod(n,5),3))',setpts='if(gt(N,30),PTS+12/TB,PTS)'", '-c:a', 'aac'], '0'],
  ['a .ts', 'late.ts', 'out.mkv', ['-c:a', 'mp2'], '0.25'],
])('times of %s that begins late count from its beginning, of sound and pictures alike', PATIENCE, async (_what, name, outName, args, soundAtS) => {
  const input = await clip(name, [
    ...['-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=25:d=2', '-itsoffset', soundAtS, '-f', 'lavfi', '-i', 'sine=440:r=48000:d=2'],
    ...['-fps_mode', 'vfr', '-c:v', 'libx264', '-bf', '3', '-preset', 'veryfast', ...args, '-output_ts_offset', '5'],
  ]);
  const out = join(tempFolder(), outName);
  const { process } = processed(input, '--out', out, '--model', 'none');
  expect(await process.exitCode(), process.stderr).toBe(0);
  const [before, after] = [await probed(input), await probed(out)];
  const begin = Math.min(before.pictures[0] ?? 0, before.sound[0]?.time ?? 0);
  expect(begin).toBeGreaterThan(4.9);
  expectTimes(after.pictures, before.pictures, begin, MATROSKA_S);
  expect(Math.abs((after.sound[0]?.time ?? 0) - ((before.sound[0]?.time ?? 0) - begin))).toBeLessThan(MATROSKA_S);
  expect(after.sound.length).toBeGreaterThan(60);
  expect(process.stdout).toContain(`${before.pictures.length} frames`);
});

test('Ctrl-C leaves nothing, and a file that is there as it was', PATIENCE, async () => {
  const short = await people();
  const input = join(tempFolder(), 'long.mp4');
  await ffmpegTool('ffmpeg', ['-stream_loop', '200', '-i', short, '-c', 'copy', input]);
  const folder = tempFolder();
  const out = join(folder, 'out.mp4');
  writeFileSync(out, 'before');
  const { process, temporary } = processed(input, '--out', out, '--detections', join(folder, 'out.jsonl'), '--force');
  await process.output(/\d+ frames {2}[\d.]+ fps/, 90_000);
  process.kill('SIGINT');
  expect(await process.exitCode(), process.stderr).toBe(130);
  expect(readdirSync(folder)).toEqual(['out.mp4']);
  expect(readFileSync(out, 'utf8')).toBe('before');
  expect(readdirSync(temporary)).toEqual([]);
});

test('a full disk ends it with the reason, and leaves nothing', PATIENCE, async ({ skip }) => {
  const folder = tempFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300k', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    skip('needs to mount a small disk');
  }
  onTestFinished(() => {
    execFileSync('umount', ['-l', folder]);
  });
  const out = join(folder, 'out.mp4');
  const { process, temporary } = processed(await people(), '--out', out, '--model', 'none', '--quality', '1');
  expect(await process.exitCode()).toBe(74);
  expect(process.stderr).toMatch(/out\.mp4: .*No space left on device\n {2}Make room/);
  expect(readdirSync(folder)).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});

test('what cannot work is refused before anything begins', PATIENCE, async () => {
  const folder = tempFolder();
  const ogg = join(folder, 'sound.mkv');
  await ffmpegTool('ffmpeg', ['-f', 'lavfi', '-i', 'testsrc2=s=64x48:d=1', '-f', 'lavfi', '-i', 'sine=d=1', '-c:a', 'flac', ogg]);
  const wav = join(folder, 'sound.wav');
  await ffmpegTool('ffmpeg', ['-f', 'lavfi', '-i', 'sine=d=1', wav]);
  const out = join(folder, 'out.mp4');
  const cases: [string[], number, RegExp][] = [
    [['gone.mp4', '--out', out], 66, /gone\.mp4: No such file/],
    [[wav, '--out', out], 65, /sound\.wav: has no video/],
    [[ogg, '--out', out], 65, /out\.mp4: cannot hold the sound of \S+sound\.mkv \(FLAC\)\n {2}Let --out end in \.mkv/],
    [[ogg, '--out', join(folder, 'out.avi')], 64, /out\.avi: cannot be written in this format\n {2}Let its name end in \.mp4 or \.mkv/],
    [[ogg, '--out', ogg, '--force'], 64, /sound\.mkv: is given twice/],
    [[ogg, '--out', join(folder, 'gone', 'out.mkv')], 74, /out\.mkv: ENOENT/],
  ];
  for (const [args, code, message] of cases) {
    const { process } = processed(...args);
    expect(await process.exitCode(), process.stderr).toBe(code);
    expect(process.stderr).toMatch(message);
  }
  const size = statSync(wav).size;
  const { process } = processed(ogg, '--out', join(folder, 'x.mkv'), '--detections', wav);
  expect(await process.exitCode()).toBe(74);
  expect(process.stderr).toMatch(/sound\.wav: is there already\n {2}Give another name, or --force/);
  expect(statSync(wav).size).toBe(size);
  expect(existsSync(out)).toBe(false);
  expect(readdirSync(folder).sort()).toEqual(['sound.mkv', 'sound.wav']);
});
