/**
 * What it costs to make a network's input of a frame: the addon's preprocessing against
 * GStreamer's videoconvertscale, in one run, on one thread each. Budget: three times as fast.
 *
 *   npm run bench -- preprocess [--json] [--quick]
 *
 * 1080p NV12 to 640×640 and 300×300, stretched, bilinear. Ours counts all that a network needs:
 * scaling, colour, planes of float32, normalisation. videoconvertscale counts scaling and colour
 * to RGB of 8 bits only, in whatever layout it makes fastest (planar, packed, packed with a
 * spare byte); turning that into floats is not counted. Both are CPU time for a frame, user and
 * system; start-up and the sources and sinks around videoconvertscale are taken off. Both see
 * one frame again and again; ours is also timed on frames that are in no cache, as they come
 * from a decoder ("from memory"). Bytes per second are of those, and count the whole frame and
 * the whole tensor; memcpy's count what is read and what is written.
 * `--quick`: one short block of each.
 */
import { parseArgs } from 'node:util';
import { FULL, measurePreprocess, QUICK } from './preprocess/measure.js';
import { preprocessResult, preprocessTable } from './preprocess/report.js';

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
});

const measured = await measurePreprocess(values.quick ? QUICK : FULL, (text) => process.stderr.write(`${text}\n`));
process.stdout.write(`${values.json ? JSON.stringify(preprocessResult(measured)) : preprocessTable(measured)}\n`);
