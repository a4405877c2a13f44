/**
 * Inside the virtual machine: a pool of DMA-BUFs made and filled in JavaScript, read by another
 * process through its own attachment. `pool.mjs read DIRECTORY EPOCH` is that other process.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { createBusConsumer, createBusServer, createProducerPool } from '../../dist/native/index.js';

const FORMAT = {
  width: 640,
  height: 360,
  pixelFormat: 'NV12',
  matrix: 'bt709',
  range: 'limited',
  frameRateNumerator: 30,
  frameRateDenominator: 1,
  pixelAspectNumerator: 1,
  pixelAspectDenominator: 1,
};
const SLOTS = 6;
const ROUNDS = 20;

/** Bytes to take rows from: as many as a row and the places at which one may begin. */
const BYTES = Uint8Array.from({ length: FORMAT.width + 251 }, (_, i) => (i * 7) % 251);

/** A row as it must be: no two frames, planes or neighbouring rows are alike. */
function expectedRow(number, plane, y, bytes) {
  const start = (y * 5 + number * 13 + plane * 17) % 251;
  return BYTES.subarray(start, start + bytes);
}

const [role, ...args] = process.argv.slice(2);
if (role === 'read') await read(...args);
else await write();

async function write() {
  const directory = mkdtempSync('/run/pool-');
  const options = { directory, producer: 'own', allowUids: [], allowGids: [], token: '', leaseDeadlineMs: 0 };
  const server = createBusServer(options, () => undefined);
  const pool = createProducerPool(server, {
    streamId: 'own',
    format: FORMAT,
    memory: 'dmabuf',
    slots: SLOTS,
    groups: [{ name: 'readers', hold: 2 }],
  });
  const reader = spawn(process.execPath, [process.argv[1], 'read', directory, pool.epoch], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const answers = readline.createInterface({ input: reader.stdout })[Symbol.asyncIterator]();
  for (let number = 0; number < ROUNDS; number += 1) {
    const slot = pool.acquire(true);
    assert.ok(slot, 'no slot is free');
    for (const [plane, { data, stride, height }] of slot.planes().entries()) {
      for (let y = 0; y < height; y += 1) data.set(expectedRow(number, plane, y, FORMAT.width), y * stride);
    }
    reader.stdin.write(`${JSON.stringify({ number, slot: slot.slot, generation: String(slot.publish()) })}\n`);
    const { value } = await answers.next();
    assert.equal(value, `good ${number}`);
  }
  reader.stdin.end();
  assert.ok((await answers.next()).done);
  pool.close();
  await server.close();
  process.stdout.write(`${ROUNDS} frames of ${SLOTS} slots read byte for byte by another process\n`);
}

async function read(directory, epoch) {
  const consumer = createBusConsumer(
    { directory, name: 'reader', group: 'readers', maxHeld: 2, hold: 2, minHold: 1, token: '' },
    () => undefined,
  );
  await consumer.attach('own', epoch);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { number, slot, generation } = JSON.parse(line);
    const lease = consumer.lease(epoch, slot, BigInt(generation));
    assert.notEqual(typeof lease, 'string', `no lease: ${lease}`);
    assert.equal(lease.memory, 'dmabuf');
    checkPlanes(lease.planes(), number);
    checkPlanes(await lease.download(), number);
    lease.release();
    process.stdout.write(`good ${number}\n`);
  }
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const ours = maps.filter((line) => line.includes('/dmabuf:framebus-own'));
  assert.equal(ours.length, SLOTS, `${ours.length} slots are mapped from ${path.basename(directory)}`);
  assert.ok(ours.every((line) => line.includes(' r--s ')), 'a slot is mapped writable');
  await consumer.close();
}

/** NV12: rows of both planes have as many bytes as the picture is wide. */
function checkPlanes(planes, number) {
  assert.equal(planes.length, 2);
  for (const [plane, { data, stride, height }] of planes.entries()) {
    for (let y = 0; y < height; y += 1) {
      const row = data.subarray(y * stride, y * stride + FORMAT.width);
      const wanted = expectedRow(number, plane, y, FORMAT.width);
      assert.equal(Buffer.compare(row, wanted), 0, `frame ${number}, plane ${plane}: row ${y} is wrong`);
    }
  }
}
