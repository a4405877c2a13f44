/**
 * An archive of the proof for a machine that has a driver and nothing else: programs, GStreamer and its plugins,
 * Node, videos and the hashes of their frames. `run.sh` in it runs the proof.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../run/paths.mjs';
import { GPU_PROGRAMS } from './inputs.mjs';
import { outputOf } from './process.mjs';

/** What the proof's pipelines are made of; libav stays at home: it is large, and its hashes are in the archive. */
const PLUGINS = [
  'coreelements',
  'typefindfunctions',
  'playback',
  'isomp4',
  'avi',
  'videoparsersbad',
  'nvcodec',
  'videoconvertscale',
  'videotestsrc',
  'x264',
];
/** Part of the C library of the machine that it runs on. */
const C_LIBRARY = /\/(libc|libm|libdl|libpthread|librt|libresolv|ld-linux-x86-64)\.so/;

const RUN = `#!/bin/sh
# The proof, with everything that it needs from this folder. Arguments go to scripts/gpu.mjs.
here=$(cd "$(dirname "$0")" && pwd)
export LD_LIBRARY_PATH="$here/lib:\${LD_LIBRARY_PATH:-}"
export GST_PLUGIN_PATH="$here/plugins" GST_PLUGIN_SYSTEM_PATH=/nonexistent
export GST_PLUGIN_SCANNER="$here/gst-plugin-scanner" GST_REGISTRY="$here/registry.bin"
exec "$here/node" "$here/scripts/gpu.mjs" --programs "$here/programs" --videos "$here/videos" \\
  --references "$here/references" "$@"
`;

/** @param {{file: string, programs: string, videos: import('./inputs.mjs').GpuVideo[]}} options */
export async function pack({ file, programs, videos }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'framebus-gpu-pack-'));
  try {
    const at = (...names) => path.join(folder, ...names);
    for (const name of ['programs', 'plugins', 'lib', 'videos', 'references']) mkdirSync(at(name));
    for (const name of GPU_PROGRAMS) copyFileSync(path.join(programs, name), at('programs', name));
    const variable = (name, of) => execFileSync('pkg-config', [`--variable=${name}`, of], { encoding: 'utf8' }).trim();
    const plugins = variable('pluginsdir', 'gstreamer-1.0');
    for (const name of PLUGINS) copyFileSync(path.join(plugins, `libgst${name}.so`), at('plugins', `libgst${name}.so`));
    const scanner = path.join(variable('pluginscannerdir', 'gstreamer-1.0'), 'gst-plugin-scanner');
    copyFileSync(scanner, at('gst-plugin-scanner'));
    copyFileSync(process.execPath, at('node'));
    chmodSync(at('node'), 0o755);
    copyLibraries(
      [at('node'), scanner, ...filesIn(at('programs')), ...filesIn(at('plugins'))],
      at('lib'),
    );
    for (const name of ['gpu', 'run']) cpSync(path.join(root, 'scripts', name), at('scripts', name), { recursive: true });
    copyFileSync(path.join(root, 'scripts', 'gpu.mjs'), at('scripts', 'gpu.mjs'));
    for (const video of videos) {
      copyFileSync(video.file, at('videos', path.basename(video.file)));
      const { code, lines, last } = await outputOf([path.join(programs, 'gpu_proof'), 'reference', video.file]);
      if (code !== 0) throw new Error(`${video.name}: no reference: ${last}`);
      writeFileSync(at('references', `${video.name}.sha256`), `${lines.join('\n')}\n`);
    }
    writeFileSync(at('run.sh'), RUN, { mode: 0o755 });
    execFileSync('tar', ['-cJf', path.resolve(file), '-C', folder, '.'], { env: { ...process.env, XZ_OPT: '-T0 -6' } });
    process.stdout.write(`${file}: unpack it there and start run.sh\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

/** What the loader would find for them here. */
function copyLibraries(files, to) {
  const found = execFileSync('ldd', files, { encoding: 'utf8' }).matchAll(/=> (\/\S+)/g);
  for (const library of new Set([...found].map(([, name]) => name))) {
    if (!C_LIBRARY.test(library)) copyFileSync(library, path.join(to, path.basename(library)));
  }
}
