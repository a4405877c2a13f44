/**
 * How soon subscribers have a record, and how many they get: a hundred of them, each with a
 * connection of its own, on the real sink with the store of records on.
 *
 *   npm run bench -- subscribe [--json] [--quick] [--subscribers N]
 *
 * nats-server and sink are processes of their own, the subscribers share one. Live: small frames of
 * four streams at 25 a second, each with three detections; latency is from the time of capture,
 * which is when the result is published, to the record in the client's hands, and so has NATS,
 * the order of frames, the store and gRPC in it. Stored: all subscribers read the
 * records of the live part again, from the beginning, at once. `--quick`: few subscribers, briefly.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { measureSubscribe } from './subscribe/measure.js';
import { subscribeResult, subscribeTable } from './subscribe/report.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    subscribers: { type: 'string' },
  },
});

const folder = mkdtempSync(path.join(tmpdir(), 'framebus-bench-'));
process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
// What was started ends with this process, on its exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const figures = await measureSubscribe({
  folder,
  subscribers: Number(values.subscribers ?? (values.quick ? 10 : 100)),
  seconds: values.quick ? 2 : 15,
  say: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(`${values.json ? JSON.stringify(subscribeResult(figures)) : subscribeTable(figures)}\n`);
