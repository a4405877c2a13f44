import { createHash } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { sha256Of } from '../../models/fetch.js';
import { OnnxGraph } from '../../models/onnx_graph.js';
import { addonPath, probeEngine } from '../../native/index.js';
import { sidecarFile, type EngineSidecar } from '../../services/infer/engine_sidecar.js';
import { runNode } from '../helpers/process.js';
import { tempFolder } from '../helpers/temp.js';

const BUILT = path.dirname(addonPath());
const PLUGIN = path.join(BUILT, 'libframebus_engine_tensorrt.so');

/** A libnvinfer and a libcuda that need no GPU; C++ tests build them where NvInfer.h is. */
function fakes(): string[] {
  const folder = path.join(BUILT, 'fake');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^lib(cuda|nvinfer)\.so\.\d+$/.test(name))
    .map((name) => path.join(folder, name));
}

const isBuilt = existsSync(PLUGIN) && fakes().length >= 2;

/** A model whose output "sums" has the sum of each picture of 2 × 2. */
async function place(): Promise<{ manifest: string; model: string; sha256: string }> {
  const folder = tempFolder();
  const graph = new OnnxGraph('sums');
  const flat = graph.node('Flatten', [graph.input('images', ['N', 3, 2, 2])]);
  graph.output('sums', graph.node('ReduceSum', [flat, graph.integers([1])], { keepdims: 0 }), ['N']);
  const model = path.join(folder, 'sums.onnx');
  writeFileSync(model, graph.finish('test'));
  const manifest = path.join(folder, 'sums.yaml');
  const input = { name: 'images', width: 2, height: 2, layout: 'nchw', resize: 'stretch', color_order: 'rgb', mean: [0, 0, 0], scale: [1, 1, 1], dtype: 'float32' };
  const source = { file: 'sums.onnx' };
  writeFileSync(manifest, stringify({ name: 'sums', licence: 'MIT', task: 'raw', source, input, decoder: { kind: 'raw' }, batch: 'dynamic' }));
  return { manifest, model, sha256: await sha256Of(model) };
}

/** What an executor would load; with the libraries that need no GPU unless said otherwise. */
async function choose(engine: string, at: { manifest: string; model: string }, preload = fakes(), maxBatch = 4): Promise<Record<string, unknown>> {
  const env = { LD_PRELOAD: preload.join(':') };
  const process = runNode(['test/fixtures/engine_choice.mjs', engine, at.manifest, at.model, String(maxBatch)], { env });
  expect(await process.exitCode(), process.stderr).toBe(0);
  return JSON.parse(process.stdout) as Record<string, unknown>;
}

/** A plan for the libnvinfer of our own. */
function addPlan(model: string, sidecar: EngineSidecar): void {
  const plan = model.replace(/onnx$/, 'test.plan');
  writeFileSync(plan, LINES);
  writeFileSync(sidecarFile(plan), JSON.stringify(sidecar));
}

const LINES = 'fake-plan\ninput images f32 -1,3,2,2 1,3,2,2 4,3,2,2 4,3,2,2\noutput sums f32 -1\n';
const SUM = 66;

describe('the choice of an engine', () => {
  it('onnxruntime by name, without a reason', async () => {
    expect(await choose('onnxruntime', await place(), [])).toMatchObject({
      description: expect.stringContaining('onnxruntime') as unknown,
      ...{ reason: null, zeros: [0, 0], sums: [SUM], dims: [1] },
    });
  });

  it.skipIf(isBuilt)('auto without the plugin of TensorRT says that it is not built', async () => {
    expect(await choose('auto', await place(), [])).toMatchObject({ reason: 'onnxruntime: the TensorRT plugin is not built' });
    expect(await choose('tensorrt', await place(), [])).toMatchObject({ code: 'ENGINE_MISSING' });
  });
});

describe.skipIf(!isBuilt)('TensorRT (on libraries that need no GPU)', () => {
  /** What fits the model, the libnvinfer and the GPU. */
  async function fitting(sha256: string): Promise<EngineSidecar> {
    const built = new Date().toISOString();
    const version = await versionHere();
    return {
      ...{ format: 1, tensorrt: version, compute_capability: '9.0', gpu: 'Fake GPU', onnx_sha256: sha256, plan_bytes: LINES.length },
      ...{ plan_sha256: createHash('sha256').update(LINES).digest('hex'), precision: 'fp32', min_batch: 1, opt_batch: 4, max_batch: 4, version_compatible: false, built },
    };
  }

  /** Read from what auto refuses, because this process has no such libraries. */
  async function versionHere(): Promise<string> {
    const at = await place();
    const { message } = (await choose('tensorrt', at)) as { message: string };
    return /TensorRT (\d+\.\d+\.\d+) on Fake GPU \(9\.0\): there is none/.exec(message)?.[1] ?? message;
  }

  it('runs a plan that fits, by name and by auto', async () => {
    const at = await place();
    addPlan(at.model, await fitting(at.sha256));
    const results = { zeros: [0, 0], sums: [SUM], dims: [1], description: expect.stringMatching(/^tensorrt [\d.]+ on Fake GPU/) as unknown };
    expect(await choose('tensorrt', at)).toEqual({ ...results, reason: null });
    expect(await choose('auto', at)).toEqual({ ...results, reason: 'tensorrt: sums.test.plan fits' });
  });

  it('refuses by name what does not fit, and goes to onnxruntime by auto, with the reason', async () => {
    const at = await place();
    addPlan(at.model, { ...(await fitting(at.sha256)), compute_capability: '8.6', gpu: 'Other' });
    const why = 'sums.test.plan: built for compute capability 8.6 (Other), this is 9.0';
    expect(await choose('tensorrt', at)).toMatchObject({
      code: 'ENGINE_PLAN',
      message: expect.stringContaining(why) as unknown,
      remedy: expect.stringContaining('framebus model build sums --batch 4') as unknown,
    });
    expect(await choose('auto', at)).toMatchObject({
      description: expect.stringContaining('onnxruntime') as unknown,
      reason: `onnxruntime: no TensorRT plan fits: ${why}`,
      sums: [SUM],
    });
    addPlan(at.model, await fitting(at.sha256));
    expect(await choose('auto', at, fakes(), 5)).toMatchObject({
      reason: 'onnxruntime: no TensorRT plan fits: sums.test.plan: built for batches of 1 to 4, 1 to 5 are needed',
    });
  });

  it('says when TensorRT does not run here', async () => {
    const at = await place();
    const noCuda = fakes().filter((file) => !file.includes('libcuda'));
    const isReal = await probeEngine(PLUGIN, 0).then(
      () => true,
      () => false,
    );
    if (isReal) return;
    expect(await choose('auto', at, noCuda)).toMatchObject({ reason: expect.stringMatching(/^onnxruntime: TensorRT does not run here: /) as unknown });
    expect(await choose('tensorrt', at, noCuda)).toMatchObject({ code: 'ENGINE_MISSING' });
  });

  it('refuses a plan that fits by its sidecar and is damaged; auto goes on without it', async () => {
    const at = await place();
    const sidecar = await fitting(at.sha256);
    for (const [change, words] of [
      [{ plan_bytes: 1 }, 'bytes, and had 1 when it was built'],
      [{ plan_sha256: 'aa' }, 'and had aa when it was built'],
    ] as const) {
      addPlan(at.model, { ...sidecar, ...change });
      expect(await choose('tensorrt', at)).toMatchObject({ code: 'ENGINE_DAMAGED', message: expect.stringContaining(words) as unknown });
      const { reason, sums } = await choose('auto', at);
      expect(reason).toContain('onnxruntime: the TensorRT plan cannot be used: ');
      expect(reason).toContain(words);
      expect(sums).toEqual([SUM]);
    }
  });
});
