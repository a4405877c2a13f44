/**
 * `npm run test:gpu`: everything about GPU memory that needs an NVIDIA GPU; docs/cuda.md explains it.
 *   --videos FOLDER      with the test videos; default: $FRAMEBUS_TEST_DATA/video
 *   --json FILE          writes the figures there as well
 *   --programs FOLDER    programs that are built already; default: builds them
 *   --references FOLDER  hashes of the videos' frames; default: decodes them on the CPU
 *   --pack FILE          makes no proof, but an archive of all of it for a machine with nothing but a driver
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { GPU_PROGRAMS, gpuVideos } from './gpu/inputs.mjs';
import { pack } from './gpu/pack.mjs';
import { runProof } from './gpu/proof.mjs';
import { runMain, withInterrupt } from './run/interrupt.mjs';
import { root } from './run/paths.mjs';

const { values: options } = parseArgs({
  options: {
    videos: { type: 'string' },
    json: { type: 'string' },
    programs: { type: 'string' },
    references: { type: 'string' },
    pack: { type: 'string' },
  },
});

await runMain(() => withInterrupt(main));

async function main(signal) {
  const videos = gpuVideos(options.videos);
  const programs = options.programs ?? (await build(signal));
  if (options.pack !== undefined) {
    await pack({ file: options.pack, programs, videos, signal });
    return 0;
  }
  const { passed, failed, figures } = await runProof({ programs, videos, references: options.references, signal });
  const text = `${JSON.stringify(figures, null, 2)}\n`;
  if (options.json !== undefined) writeFileSync(options.json, text);
  process.stdout.write(`\n${text}\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

async function build(signal) {
  // Only here: a packed copy has no set-up.
  const { setUp } = await import('./setup/all.mjs');
  const { buildNative } = await import('./setup/native.mjs');
  await setUp({ signal });
  for (const target of GPU_PROGRAMS) {
    await buildNative({ signal, note: () => undefined, options: { signal } }, { directory: 'native/build', target });
  }
  return path.join(root, 'native', 'build');
}
