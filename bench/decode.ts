/**
 * What it costs to read a frame's findings out of a model's outputs: decoder, suppression, the way
 * back to the frame; one thread.
 *
 *   npm run bench -- decode [--json] [--quick]
 *
 * Sizes are those of models at 640×640 with COCO's classes, unless said otherwise; the numbers are
 * made up: one box or query in a hundred passes its threshold of 0.5. Median of all runs.
 */
import { parseArgs } from 'node:util';
import { CASES, type DecodeCase } from './decode/cases.js';
import { measureDecode } from './decode/measure.js';

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
});

const results: (Pick<DecodeCase, 'decoder' | 'shape'> & { us_per_frame: number })[] = [];
for (const one of CASES) {
  const { decoder, shape } = one;
  results.push({ decoder, shape, us_per_frame: await measureDecode(one, values.quick ? 20 : 200) });
}
if (values.json) console.log(JSON.stringify({ name: 'decode', results }));
else for (const { decoder, shape, us_per_frame: us } of results) console.log(`${decoder.padEnd(20)} ${shape.padEnd(44)} ${us.toFixed(0).padStart(6)} µs`);
