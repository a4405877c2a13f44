/**
 * Publishes frames of its own as a stream: those of another one, with a green box that
 * moves over them. They come out with detections, like a camera's:
 *
 *     node examples/inject-frames.mjs --from gate --config examples/framebus.yaml
 *     ffplay -rtsp_transport tcp rtsp://127.0.0.1:8554/synthetic
 */
import { parseArgs } from 'node:util';
import { describeError, openBus } from 'framebus';

const { values } = parseArgs({
  options: {
    config: { type: 'string', short: 'c', default: 'framebus.yaml' },
    from: { type: 'string', default: 'gate' },
    stream: { type: 'string', default: 'synthetic' },
  },
});

/** Sample values of green (BT.601) in the planes of a frame. */
const GREEN = { I420: [[145], [54], [34]], NV12: [[145], [54, 34]] };
const SIDE = 64;

process.once('uncaughtException', (error) => {
  console.error(describeError(error));
  process.exit(1);
});
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

const bus = await openBus({ config: values.config, name: 'inject-frames', signal: stop.signal });
let producer;
for await (const frame of bus.frames(values.from, { signal: stop.signal })) {
  producer ??= await bus.producer({ stream: values.stream, format: frame.format });
  const { width, height, pixelFormat } = frame.format;
  if (producer.format.width !== width || producer.format.height !== height) producer.setFormat(frame.format);
  const slot = producer.acquire();
  if (slot !== null) {
    const left = (Number(frame.seq) * 8) % (width - SIDE);
    for (const [index, plane] of slot.planes.entries()) {
      const colour = GREEN[pixelFormat][index] ?? [];
      copyPlane(frame.planes[index] ?? plane, plane);
      drawBox(plane, colour, left, height / plane.height);
    }
    slot.publish({ captureTime: frame.captureTime });
  }
  frame.release();
}
await bus.close();

/**
 * Copies a plane; the rows of the other may be further apart, or closer.
 * @param {import('framebus').Plane} from
 * @param {import('framebus').Plane} to
 */
function copyPlane(from, to) {
  const length = Math.min(from.stride, to.stride);
  for (let y = 0; y < from.height; y++) {
    to.data.set(from.data.subarray(y * from.stride, y * from.stride + length), y * to.stride);
  }
}

/**
 * Fills a square at the top; `scale`: pixels of the frame for one of the plane.
 * @param {import('framebus').Plane} plane
 * @param {number[]} colour one number a sample
 * @param {number} left
 * @param {number} scale
 */
function drawBox({ data, stride }, colour, left, scale) {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
  for (let y = 0; y < SIDE / scale; y++) {
    const start = y * stride + Math.floor(left / scale) * colour.length;
    bytes.fill(Uint8Array.from(colour), start, start + (SIDE / scale) * colour.length);
  }
}
