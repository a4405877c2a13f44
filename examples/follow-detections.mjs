/**
 * Follows the records of all streams, each once, whatever is restarted in between:
 *
 *   node examples/follow-detections.mjs --place place.txt [--address 127.0.0.1:50051] [--count N]
 *
 * The place in the file is behind the last record that was dealt with. See docs/detections.md.
 */
import { credentials, status } from '@grpc/grpc-js';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DetectionServiceClient, SubscribeRequest } from 'framebus/detections';

const { values } = parseArgs({
  options: {
    address: { type: 'string', default: '127.0.0.1:50051' },
    place: { type: 'string', default: 'place.txt' },
    count: { type: 'string', default: 'Infinity' },
  },
});
const MAY_PASS = [status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED];

const client = new DetectionServiceClient(values.address, credentials.createInsecure(), {
  // Notices a server that is gone without a word.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
});
let left = Number(values.count);
for (let cursor = readPlace(); left > 0; ) {
  const start = cursor === '' ? { fromBeginning: true } : { resumeAfter: cursor, skipExpired: true };
  const call = client.subscribe(SubscribeRequest.fromPartial(start));
  try {
    for await (const item of call) {
      const response = /** @type {import('framebus/detections').SubscribeResponse} */ (item);
      for (const { count, reason } of response.missed) console.error(`${count} records are missing (reason ${reason})`);
      const { record } = response;
      if (record !== undefined) {
        const seen = record.detections.map(({ label, trackId }) => `${label} ${trackId}`);
        const ms = Number(record.latencyNs + (record.stages?.captureNs ?? 0n)) / 1e6;
        console.log(`${record.streamId} ${record.seq} ${seen.join(', ')} ${ms.toFixed(1)} ms`);
      }
      if (response.cursor !== '') writePlace((cursor = response.cursor));
      if (record !== undefined && --left <= 0) break;
    }
  } catch (error) {
    const { code, details } = /** @type {import('@grpc/grpc-js').ServiceError} */ (error);
    if (!MAY_PASS.includes(code)) throw error;
    console.error(`${details}; trying again`);
    await sleep(1_000);
  } finally {
    call.cancel();
  }
}
client.close();

/** Empty at first. */
function readPlace() {
  try {
    return readFileSync(values.place, 'utf8').trim();
  } catch {
    return '';
  }
}

/** The file is whole whenever this program ends. @param {string} cursor */
function writePlace(cursor) {
  writeFileSync(`${values.place}.part`, `${cursor}\n`);
  renameSync(`${values.place}.part`, values.place);
}
