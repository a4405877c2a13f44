/**
 * Saves every Nth frame of a stream as PNG:
 *
 *     node examples/save-frames.mjs gate --every 25 --out /tmp/frames --config examples/framebus.yaml
 *
 * With --count it ends after so many pictures, with --lossless no frame of a file is left out.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { encode } from 'fast-png';
import { describeError, openBus } from 'framebus';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    config: { type: 'string', short: 'c', default: 'framebus.yaml' },
    every: { type: 'string', default: '25' },
    count: { type: 'string', default: 'Infinity' },
    lossless: { type: 'boolean', default: false },
    out: { type: 'string', default: '.' },
  },
});
const stream = positionals[0] ?? 'gate';
const every = BigInt(values.every);

process.once('uncaughtException', (error) => {
  console.error(describeError(error));
  process.exit(1);
});
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

await mkdir(values.out, { recursive: true });
const bus = await openBus({ config: values.config, name: 'save-frames', signal: stop.signal });
const mode = values.lossless ? 'lossless' : 'latest';
let due = 0n;
let saved = 0;
for await (const frame of bus.frames(stream, { mode, signal: stop.signal })) {
  // With TypeScript, or Node.js from 24 on, "using" instead of "const" releases it by itself.
  try {
    if (frame.seq < due) continue;
    due = frame.seq - (frame.seq % every) + every;
    const { width, height } = frame.format;
    const png = encode({ width, height, channels: 3, data: frame.rgb() });
    const file = path.join(values.out, `${stream}-${String(frame.seq).padStart(8, '0')}.png`);
    await writeFile(file, png);
    console.log(file);
    if (++saved >= Number(values.count)) break;
  } finally {
    frame.release();
  }
}
await bus.close();
