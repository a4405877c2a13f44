/**
 * What the sink makes of its encoder: frames a second of the real sink, as a process that is fed
 * over the frame bus as fast as it takes them, against `gst-launch … ! x264enc` with the same
 * settings on the same pictures, in one run. And what drawing boxes costs, what ten RTSP viewers
 * cost more than one, and how long a viewer waits for its first picture.
 *
 *   npm run bench -- sink [--json] [--quick] [--clip FILE] [--size WIDTHxHEIGHT]
 *
 * Blocks take turns, medians. The pictures are a clip's own, scaled; eight objects walk on them.
 * Boxes: sink's CPU but its encoder's, with them less without. Viewers: sink's CPU alone, at 30
 * frames a second; each reads over TCP and throws away. Joining: from the connect to the last byte
 * of the first keyframe, half of the times beside another viewer. `--quick`: one short block of each.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parseConfig } from '../lib/config.js';
import { measureSink } from './sink/measure.js';
import { sinkResult, sinkTable } from './sink/report.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    clip: { type: 'string' },
    size: { type: 'string' },
  },
});

const [, width, height] = /^(\d+)x(\d+)$/.exec(values.size ?? (values.quick ? '640x360' : '1280x720')) ?? [];
if (width === undefined || height === undefined) {
  process.stderr.write(`--size ${values.size ?? ''}: give WIDTHxHEIGHT, such as 1280x720\n`);
  process.exit(2);
}
const folder = mkdtempSync(path.join(tmpdir(), 'framebus-bench-'));
process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
// What was started ends with this process, on its exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const defaults = parseConfig('streams: {clip: {source: /dev/null}}', 'defaults');
const figures = await measureSink({
  folder,
  clip: path.resolve(values.clip ?? path.join(defaults.models.cache, 'vtest.avi')),
  width: Number(width),
  height: Number(height),
  pictures: values.quick ? 20 : 90,
  encode: defaults.sink.encode,
  effort: values.quick
    ? { warmUpSeconds: 0.3, blocks: 1, blockSeconds: 1, viewerBlocks: 1, viewerSeconds: 1, joins: 4 }
    : { warmUpSeconds: 1, blocks: 7, blockSeconds: 3, viewerBlocks: 3, viewerSeconds: 5, joins: 40 },
  say: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(`${values.json ? JSON.stringify(sinkResult(figures)) : sinkTable(figures)}\n`);
