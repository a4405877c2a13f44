import { describe, expect, it } from 'vitest';
import type { OutputTensors } from '../../../services/infer/output_tensor.js';
import { decode, decoderManifest, empty, floats, misfit, rounded, rowsOf } from '../../helpers/decoding.js';

/** 24 × 16 at stride 8: three cells in a row, two rows. */
const manifest = decoderManifest({ decoder: { kind: 'yunet', strides: [8] }, labels: { 0: 'face' }, width: 24, height: 16 });
const CELLS = 6;

/** Nothing but one cell. */
function outputs(cell: number, { cls, obj, box, points }: { cls: number; obj: number; box: number[]; points: number[] }): OutputTensors {
  const at = (width: number, values: number[]) => {
    const data = new Float32Array(CELLS * width);
    data.set(values, cell * width);
    return floats([1, CELLS, width], data);
  };
  return { cls_8: at(1, [cls]), obj_8: at(1, [obj]), bbox_8: at(4, box), kps_8: at(10, points) };
}

describe('decoder yunet', () => {
  const face = { cls: 0.81, obj: 1, box: [0.5, 0.25, Math.log(2), 0], points: [0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1] };

  it('adds the cell, scales by the stride, and takes the root of class times objectness', async () => {
    // Cell 5 is column 2 of row 1: centre (2.5, 1.25) · 8 = (20, 10), size (16, 8).
    const found = await decode(manifest, outputs(5, face), [0.8]);
    expect(rounded(rowsOf(found))).toEqual([[12, 6, 28, 14, 0.9, 0]]);
    expect(found.boxes.points).toBe(5);
    expect([...found.boxes.landmarks.subarray(0, 10)]).toEqual([16, 8, 24, 8, 20, 12, 16, 16, 24, 16]);
  });

  it('cuts class and objectness to 0–1 first', async () => {
    expect(rowsOf(await decode(manifest, outputs(0, { ...face, obj: 4 }), [0.85]))).toHaveLength(1);
    expect(rowsOf(await decode(manifest, outputs(0, { ...face, obj: 4 }), [0.91]))).toEqual([]);
    expect(rowsOf(await decode(manifest, outputs(0, { ...face, cls: -0.5, obj: -1 }), [0.1]))).toEqual([]);
  });

  it('refuses another picture size than the manifest’s', async () => {
    const whole = decoderManifest({ decoder: { kind: 'yunet' }, labels: { 0: 'face' }, width: 640, height: 480 });
    const all = (cells: [number, number, number]): OutputTensors =>
      Object.fromEntries(
        [8, 16, 32].flatMap((stride, index) => [
          [`cls_${stride}`, empty([1, cells[index] ?? 0, 1])],
          [`obj_${stride}`, empty([1, cells[index] ?? 0, 1])],
          [`bbox_${stride}`, empty([1, cells[index] ?? 0, 4])],
          [`kps_${stride}`, empty([1, cells[index] ?? 0, 10])],
        ]),
      );
    expect(await misfit(whole, all([4800, 1200, 300]))).toBeNull();
    expect(await misfit(whole, all([6400, 1600, 400]))).toBe('model m: output "cls_8" is [1, 6400, 1], decoder yunet expects [1, 4800, 1]');
  });
});
