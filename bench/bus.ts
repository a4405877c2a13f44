/**
 * What a frame costs on its way through the frame bus, and how long it takes,
 * next to GStreamer's shmsink, to pixels inside NATS messages and to a bare NATS
 * request, in one run. Budgets: architecture §7, first two rows.
 *
 *   npm run bench -- bus [--json] [--quick]
 *
 * A producer's and a consumer's process of their own, with the addon, and a
 * nats-server. The producer acquires a slot, marks a few bytes and publishes;
 * the descriptor is the message that ingest sends; the consumer leases the
 * frame, looks at its planes and releases it. CPU is user and system time of
 * both processes for a delivered frame, medians over blocks that take turns.
 * Writing pixels is the decoder's work on every transport and counted on none,
 * nor is the pacing of the frames; see bus/shmsink.ts for how shmsink is fed.
 * `--quick` runs each block once and briefly (about 15 s instead of 80): enough
 * to see that all of it works, too little for the figures to be worth much.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { BusMeasurement, FULL, QUICK } from './bus/measurement.js';
import { busResult, busTable } from './bus/report.js';
import { BusRig } from './bus/rig.js';

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
});

const folder = mkdtempSync(path.join(tmpdir(), 'framebus-bench-'));
process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
// What was started ends with this process, on its exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const rigs = [await BusRig.start(folder), await BusRig.start(folder)] as const;
try {
  const measurement = new BusMeasurement(...rigs, folder, values.quick ? QUICK : FULL);
  const figures = await measurement.run((text) => process.stderr.write(`${text}\n`));
  process.stdout.write(`${values.json ? JSON.stringify(busResult(figures)) : busTable(figures)}\n`);
} finally {
  for (const rig of rigs) await rig.close();
}
