import { stringify } from 'yaml';
import { parseManifest } from '../../models/manifest.js';
import { createDecoder } from '../../services/infer/create_decoder.js';
import { Findings } from '../../services/infer/findings.js';
import { toFrameFindings } from '../../services/infer/frame_findings.js';
import type { DecodeCase } from './cases.js';

const SIDE = 640;
const GEOMETRY = { scaleX: SIDE / 1920, scaleY: SIDE / 1920, offsetX: 0, offsetY: 140 };

/** Median microseconds of a frame. */
export async function measureDecode(one: DecodeCase, runs: number): Promise<number> {
  const manifest = manifestOf(one);
  const decoder = await createDecoder(manifest);
  const outputs = one.outputs();
  decoder.check(outputs, 1);
  const thresholds = new Float64Array(one.classes).fill(one.task === 'classify' ? 0.01 : 0.5);
  const found = new Findings();
  const times = Array.from({ length: runs + runs / 4 }, () => {
    const startedMs = performance.now();
    found.clear();
    decoder.decode(outputs, 0, thresholds, found);
    toFrameFindings(found, manifest, { geometry: GEOMETRY, width: 1920, height: 1080, region: null, thresholds });
    return (performance.now() - startedMs) * 1000;
  });
  // The first quarter is compiled while it runs.
  const warm = times.slice(runs / 4).toSorted((a, b) => a - b);
  return warm[Math.floor(warm.length / 2)] ?? Number.NaN;
}

function manifestOf({ section, task, classes }: DecodeCase) {
  const labels = Object.fromEntries(Array.from({ length: classes }, (_, index) => [index, `class ${index}`]));
  const manifest = {
    ...{ name: 'm', licence: 'MIT', task, source: { file: 'm.onnx' }, decoder: section, batch: 1 },
    input: {
      ...{ name: 'images', width: SIDE, height: SIDE, layout: 'nchw', resize: 'letterbox', color_order: 'rgb', dtype: 'float32' },
      ...{ mean: [0, 0, 0], scale: [1, 1, 1] },
    },
    ...(task === 'raw' ? {} : { labels }),
    ...(task === 'detect' || task === 'classify' ? { thresholds: { default: 0.5 } } : {}),
    ...(task === 'detect' ? { nms: { kind: 'per_class', iou: 0.45 } } : {}),
  };
  const size = section['kind'] === 'ultraface' ? { width: 320, height: 240 } : {};
  return parseManifest(stringify({ ...manifest, input: { ...manifest.input, ...size } }), '/m/m.yaml');
}
