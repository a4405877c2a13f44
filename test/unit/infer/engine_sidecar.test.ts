import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { findPlan, misfit, planFile, readSidecar, sidecarFile, type EngineSidecar } from '../../../services/infer/engine_sidecar.js';
import { tempFolder } from '../../helpers/temp.js';

const SIDECAR: EngineSidecar = {
  ...{ format: 1, tensorrt: '10.3.0', compute_capability: '9.0', gpu: 'NVIDIA H200', onnx_sha256: 'aa', plan_bytes: 4, plan_sha256: 'bb' },
  ...{ precision: 'fp16', min_batch: 1, opt_batch: 4, max_batch: 4, version_compatible: false, built: '2026-01-01T00:00:00.000Z' },
};
const HERE = { version: '10.3.0', architecture: '9.0' };
const WISH = { onnxSha256: 'aa', batches: [1, 2, 3, 4] };

/** Writes a plan; its sidecar may be any text. */
function addPlan(folder: string, name: string, sidecar: Partial<EngineSidecar> | string): string {
  const file = path.join(folder, name);
  writeFileSync(file, 'plan');
  writeFileSync(sidecarFile(file), typeof sidecar === 'string' ? sidecar : JSON.stringify({ ...SIDECAR, ...sidecar }));
  return file;
}

describe('the sidecar of a plan', () => {
  it.each<[change: Partial<EngineSidecar>, reason: string | null]>([
    [{}, null],
    [{ max_batch: 8 }, null],
    [{ onnx_sha256: 'cc' }, 'built from another model file'],
    [{ tensorrt: '10.1.0' }, 'built for TensorRT 10.1.0, this is 10.3.0'],
    [{ tensorrt: '10.1.0', version_compatible: true }, null],
    [{ tensorrt: '10.16.0', version_compatible: true }, 'built for TensorRT 10.16.0, this is 10.3.0'],
    [{ tensorrt: '8.6.1', version_compatible: true }, 'built for TensorRT 8.6.1, this is 10.3.0'],
    [{ compute_capability: '8.6', gpu: 'NVIDIA A10' }, 'built for compute capability 8.6 (NVIDIA A10), this is 9.0'],
    [{ max_batch: 3 }, 'built for batches of 1 to 3, 1 to 4 are needed'],
    [{ min_batch: 4 }, 'built for batches of 4 to 4, 1 to 4 are needed'],
  ])('%j: %s', (change, reason) => {
    expect(misfit({ ...SIDECAR, ...change }, HERE, WISH)).toBe(reason);
  });

  it('fits a model of fixed batch size only where the plan takes that one', () => {
    expect(misfit({ ...SIDECAR, min_batch: 2, max_batch: 2 }, HERE, { onnxSha256: 'aa', batches: [2] })).toBeNull();
    expect(misfit(SIDECAR, HERE, { onnxSha256: 'aa', batches: [5] })).toBe('built for batches of 1 to 4, 5 are needed');
  });

  it('is refused when it is not whole', () => {
    const folder = tempFolder();
    for (const text of ['', '{', '[]', JSON.stringify({ ...SIDECAR, format: 2 }), JSON.stringify({ ...SIDECAR, tensorrt: '10' })]) {
      const plan = addPlan(folder, 'm.plan', text);
      expect(() => readSidecar(plan)).toThrow(expect.objectContaining({ code: 'ENGINE_DAMAGED' }));
    }
    expect(() => readSidecar(path.join(folder, 'none.plan'))).toThrow('none.plan.json');
  });
});

describe('plans beside a model file', () => {
  it('are named after all that they fit', () => {
    const names = { ...HERE, precision: 'fp16', maxBatch: 8 };
    expect(planFile('/c/models/m-0123.onnx', names)).toBe('/c/models/m-0123.trt10.3.0-sm90-fp16-b8.plan');
    expect(planFile('/c/m.txt', names)).toBe('/c/m.txt.trt10.3.0-sm90-fp16-b8.plan');
  });

  it('the newest that fits is taken, and of the others it is said why not', () => {
    const folder = tempFolder();
    const model = path.join(folder, 'm.onnx');
    expect(findPlan(model, HERE, WISH)).toEqual({ plan: null, refused: [] });
    addPlan(folder, 'm.old.plan', {});
    const newest = addPlan(folder, 'm.new.plan', { built: '2026-02-01T00:00:00.000Z' });
    addPlan(folder, 'm.other.plan', { compute_capability: '8.6', built: '2026-03-01T00:00:00.000Z' });
    addPlan(folder, 'm.bad.plan', '{');
    addPlan(folder, 'mm.plan', {});
    const { plan, refused } = findPlan(model, HERE, WISH);
    expect(plan).toMatchObject({ file: newest, sidecar: { built: '2026-02-01T00:00:00.000Z' } });
    expect(refused).toHaveLength(2);
    expect(refused[0]).toContain('m.bad.plan.json');
    expect(refused[1]).toBe('m.other.plan: built for compute capability 8.6 (NVIDIA H200), this is 9.0');
  });
});
