import { describe, expect, it } from 'vitest';
import { plannedPrecision, trtexecArguments, TrtexecFlags, type BuildArguments } from '../../../../cli/model/build_arguments.js';
import { decoderManifest } from '../../../helpers/decoding.js';

const HELP_10 = '  --fp16 Enable fp16\n  --skipInference Exit\n  --versionCompatible\n  --profilingVerbosity=mode\n  --timingCacheFile=<file>\n';
const HELP_8_5 = '  --fp16\n  --buildOnly\n';
const HELP_11 = '  --skipInference\n  --stronglyTyped\n';

const dynamic = decoderManifest({
  task: 'raw',
  decoder: { kind: 'raw' },
  width: 640,
  height: 480,
  more: { extra_inputs: [{ name: 'size', dtype: 'int64', value: 'width_height' }] },
});

const given = (help: string, rest: Partial<BuildArguments> = {}): string[] =>
  trtexecArguments(
    {
      ...{ manifest: dynamic, modelFile: 'm.onnx', planFile: 'm.plan', timingCache: 't.cache' },
      ...{ batch: 8, precision: null, device: 0, versionCompatible: false },
      ...rest,
    },
    new TrtexecFlags(help),
  );

describe('trtexec’s command line', () => {
  it('has one profile from batch 1 to the largest, for all inputs', () => {
    expect(given(HELP_10, { precision: 'fp16', versionCompatible: true, device: 1 })).toEqual([
      '--onnx=m.onnx',
      '--saveEngine=m.plan',
      '--minShapes=images:1x3x480x640,size:1x2',
      '--optShapes=images:8x3x480x640,size:8x2',
      '--maxShapes=images:8x3x480x640,size:8x2',
      '--fp16',
      '--versionCompatible',
      '--device=1',
      '--profilingVerbosity=detailed',
      '--timingCacheFile=t.cache',
      '--skipInference',
    ]);
  });

  it('has no shapes for a model of fixed batch size, and only what this trtexec knows', () => {
    const manifest = decoderManifest({ task: 'raw', decoder: { kind: 'raw' }, more: { batch: 2 } });
    expect(given(HELP_8_5, { manifest })).toEqual(['--onnx=m.onnx', '--saveEngine=m.plan', '--device=0', '--buildOnly']);
    const nhwc = { name: 'x', width: 4, height: 2, layout: 'nhwc', resize: 'stretch', color_order: 'rgb', mean: [0, 0, 0], scale: [1, 1, 1], dtype: 'uint8' };
    const last = decoderManifest({ task: 'raw', decoder: { kind: 'raw' }, more: { input: nhwc } });
    expect(given(HELP_10, { manifest: last })).toContain('--maxShapes=x:8x2x4x3');
  });

  it('leaves the precision to the model where TensorRT does, and says so', () => {
    expect(plannedPrecision(null, new TrtexecFlags(HELP_10))).toBe('fp32');
    expect(plannedPrecision('fp16', new TrtexecFlags(HELP_10))).toBe('fp16');
    expect(plannedPrecision(null, new TrtexecFlags(HELP_11))).toBe('model');
    expect(given(HELP_11)).not.toContain('--fp16');
    expect(() => given(HELP_11, { precision: 'fp16' })).toThrow('takes the precision of the model');
    expect(() => given(HELP_8_5, { versionCompatible: true })).toThrow('older than TensorRT 8.6');
  });
});
