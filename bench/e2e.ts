/**
 * CPU per frame of the whole pipeline against its bare stages, in one run on
 * one clip: decode (gst-launch … ! fakesink), engine (a bare loop), encoder
 * (gst-launch on the same raw frames). Budget: architecture §7, last row.
 *
 *   npm run bench -- e2e [--json] [--clip FILE] [--model NAME] [--seconds N]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { parseConfig } from '../lib/config.js';
import { ensureModel } from '../models/fetch.js';
import { engineThreads } from '../services/infer/engine_threads.js';
import { bareDecodeCpuMs } from './stages/bare_decode.js';
import { bareEncodeCpuMs } from './stages/bare_encode.js';
import { bareEngineCpuMs } from './stages/bare_engine.js';
import { probeClip } from './stages/clip.js';
import { pipelineCpu, type PipelineCpu } from './stages/pipeline_cpu.js';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    clip: { type: 'string' },
    model: { type: 'string', default: 'ssdlite-mobilenet-v2' },
    seconds: { type: 'string', default: '20' },
  },
});

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};
/** Every stage at the same settings; the encoder's are those of the default configuration. */
const defaults = parseConfig('streams: {clip: {source: /dev/null}}', 'defaults');
const clipFile = path.resolve(values.clip ?? path.join(defaults.models.cache, 'vtest.avi'));
const folder = mkdtempSync(path.join(tmpdir(), 'framebus-bench-'));

try {
  const clip = await probeClip(clipFile);
  const model = await ensureModel(values.model, { cacheDirectory: defaults.models.cache });
  say(`pipeline: ${clipFile}, ${values.model}, ${values.seconds} s`);
  const pipeline = await pipelineCpu({
    clip: clipFile,
    model: values.model,
    seconds: Number(values.seconds),
    folder,
  });
  say(`bare stages at ${pipeline.width}×${pipeline.height}`);
  const decode = await bareDecodeCpuMs(clip);
  const bareEngine = await bareEngineCpuMs(model, engineThreads(0, 1), 300);
  const { encode } = defaults.sink;
  const bareEncode = await bareEncodeCpuMs({
    clip,
    width: pipeline.width,
    height: pipeline.height,
    bitrateKbps: encode.bitrateKbps,
    preset: encode.preset,
    keyframeIntervalMs: encode.keyframeIntervalMs,
    directory: folder,
  });
  report(pipeline, { decode, engine: bareEngine, encode: bareEncode });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function report(
  pipeline: PipelineCpu,
  bare: { decode: number; engine: number; encode: number },
): void {
  const overhead = pipeline.cpuMsPerFrame / (bare.decode + bare.engine + bare.encode);
  const round = (n: number): number => Number(n.toFixed(3));
  const result = {
    name: 'e2e',
    frames: pipeline.frames,
    cpu_ms_per_frame: {
      pipeline: round(pipeline.cpuMsPerFrame),
      decode: round(bare.decode),
      engine: round(bare.engine),
      encode: round(bare.encode),
    },
    overhead_ratio: round(overhead),
    services_cpu_ms_per_frame: Object.fromEntries(
      Object.entries(pipeline.services).map(([name, ms]) => [name, round(ms)]),
    ),
    model: values.model,
    mean_batch: round(pipeline.meanBatch),
  };
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}
