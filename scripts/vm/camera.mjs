/**
 * Inside the virtual machine: a real camera driver (vivid) through ingest, its frames in DMA-BUFs,
 * read by another process that looks at the picture. The last line says what it saw.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { NatsServer } from '../../dist/cli/nats_server.js';
import { openBus } from '../../dist/lib/bus.js';

const FRAMES = 30;
const WITHIN_MS = 200_000;
const KERNEL_LIST = '/sys/kernel/debug/dma_buf/bufinfo';
const GST_LOG = '/run/gstreamer.log';
/** vivid's picture: bars in 75 % of white, yellow, cyan, green, magenta, red, blue, and black. */
const BARS = [
  [1, 1, 1],
  [1, 1, 0],
  [0, 1, 1],
  [0, 1, 0],
  [1, 0, 1],
  [1, 0, 0],
  [0, 0, 1],
  [0, 0, 0],
].map((bar) => bar.map((part) => part * 0.75));
/** Colours of a picture go through tables of the driver. */
const TOLERANCE = 8;

const device = findCamera();
const nats = await NatsServer.start({});
const config = writeConfig(device, nats.url);
const ingest = spawn(process.execPath, ['dist/services/ingest/main.js', '--config', config], {
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, GST_DEBUG: 'v4l2allocator:6,v4l2:5', GST_DEBUG_FILE: GST_LOG, GST_DEBUG_NO_COLOR: '1' },
});
const ingestEnded = once(ingest, 'exit');
try {
  const seen = await watch(config);
  const told = readFileSync(GST_LOG, 'utf8');
  const exported = new Set(told.match(/exported DMABUF as fd \d+/g));
  const driverFormat = /Got format of \d+x\d+, format (\w+)/.exec(told)?.[1];
  assert.ok(exported.size > 0, 'the driver exported none of its buffers: v4l2src did not use io-mode=dmabuf');
  assert.match(driverFormat ?? '', /^(YU12|NV12)$/, 'the driver was not asked for a format that slots hold');
  ingest.kill('SIGTERM');
  const [code] = await ingestEnded;
  assert.equal(code, 0, 'ingest ended with a failure');
  assert.equal(dmabufs(), 0, 'DMA-BUFs of the bus are left in the kernel');
  process.stdout.write(`${seen}; from ${exported.size} DMA-BUFs of the driver in ${driverFormat}\n`);
} finally {
  ingest.kill('SIGKILL');
  await nats.close();
}

function findCamera() {
  const folder = '/sys/class/video4linux';
  const found = readdirSync(folder).find((name) =>
    readFileSync(`${folder}/${name}/name`, 'utf8').includes('vid-cap'),
  );
  assert.ok(found, 'vivid made no camera');
  return `/dev/${found}`;
}

function writeConfig(camera, url) {
  mkdirSync('/run/framebus', { mode: 0o750, recursive: true });
  const lines = [
    'bus: { directory: /run/framebus }',
    `nats: { url: "${url}" }`,
    'ingest: { http: { port: 0 }, grpc: { port: 0 } }',
    `streams: { camera: { source: "v4l2://${camera}", model: null, memory: dmabuf, slots: 8 } }`,
  ];
  writeFileSync('/run/framebus.yaml', `${lines.join('\n')}\n`);
  return '/run/framebus.yaml';
}

/** Takes frames from the bus as any program would; returns what they were. */
async function watch(file) {
  const bus = await openBus({ config: file, name: 'watcher' });
  const clocks = new Set();
  let last = -1n;
  let count = 0;
  let about = '';
  for await (const frame of bus.frames('camera', { signal: AbortSignal.timeout(WITHIN_MS) })) {
    const { format, memory, seq } = frame;
    assert.equal(memory, 'dmabuf');
    assert.ok(seq > last, `frame ${seq} came after ${last}`);
    assert.ok(mappedReadOnly() >= 8, 'the frame is not mapped read-only from DMA-BUFs');
    checkBars(frame);
    clocks.add(hashOfClock(frame.planes[0]));
    frame.release();
    about = `${format.width}x${format.height} ${format.pixelFormat} in ${memory}`;
    last = seq;
    count += 1;
    if (count === FRAMES) break;
  }
  assert.equal(count, FRAMES, `only ${count} frames came`);
  // Its clock shows milliseconds and a frame number: a frame that shows an old one was not written.
  assert.equal(clocks.size, FRAMES, 'frames show the same time');
  await bus.close();
  return `${FRAMES} frames ${about}, the last one number ${last}, every one with its bars and its own time`;
}

/** Compares the middle of each bar with what it must be in the frame's own colours. */
function checkBars({ format, planes }) {
  const [kr, kb] = format.matrix === 'bt709' ? [0.2126, 0.0722] : [0.299, 0.114];
  const [low, luma, chroma] = format.range === 'full' ? [0, 255, 255] : [16, 219, 224];
  const y = Math.floor(format.height * 0.75);
  for (const [i, [r, g, b]] of BARS.entries()) {
    const bright = kr * r + (1 - kr - kb) * g + kb * b;
    const expected = [
      low + luma * bright,
      128 + (chroma * (b - bright)) / (2 - 2 * kb),
      128 + (chroma * (r - bright)) / (2 - 2 * kr),
    ];
    const x = Math.floor(((i + 0.5) * format.width) / BARS.length);
    const found = pixel(planes, format.pixelFormat, x, y);
    const near = found.every((value, part) => Math.abs(value - expected[part]) <= TOLERANCE);
    assert.ok(near, `bar ${i} (${format.matrix}, ${format.range}): YUV ${found}, expected ${expected.map(Math.round)}`);
  }
}

function pixel([luma, u, v], pixelFormat, x, y) {
  const [half, row] = [Math.floor(x / 2), Math.floor(y / 2)];
  const at = (plane, column) => plane.data[row * plane.stride + column];
  const bright = luma.data[y * luma.stride + x];
  return pixelFormat === 'NV12' ? [bright, at(u, 2 * half), at(u, 2 * half + 1)] : [bright, at(u, half), at(v, half)];
}

/** The first line of the text that vivid writes over its picture. */
function hashOfClock({ data, stride }) {
  const hash = createHash('sha256');
  for (let y = 0; y < 64; y += 1) hash.update(data.subarray(y * stride, y * stride + 320));
  return hash.digest('hex');
}

/** Mappings of the bus's DMA-BUFs in this process that allow nothing but reading. */
function mappedReadOnly() {
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n');
  const ours = lines.filter((line) => line.includes('/dmabuf:framebus-camera'));
  assert.ok(ours.every((line) => line.includes(' r--s ')), 'a frame is mapped writable');
  return ours.length;
}

/** DMA-BUFs of the bus that the kernel knows of. */
function dmabufs() {
  return readFileSync(KERNEL_LIST, 'utf8').split('\n').filter((line) => line.includes('framebus-')).length;
}
