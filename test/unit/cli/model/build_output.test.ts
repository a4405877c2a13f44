import { describe, expect, it } from 'vitest';
import { buildLine } from '../../../../cli/model/build_display.js';
import { BuildOutput, type BuildPhase } from '../../../../cli/model/build_output.js';

/** Lines as trtexec 8.6 and 10 write them. */
const LINES: [line: string, phase: BuildPhase][] = [
  ['&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b26] # trtexec --onnx=m.onnx', 'starting'],
  ['[06/12/2024-10:11:12] [I] === Device Information ===', 'starting'],
  ['[06/12/2024-10:11:12] [I] Available Devices: ', 'starting'],
  ['[06/12/2024-10:11:12] [I]   Device 0: "NVIDIA H200" UUID: GPU-9c63eb4e', 'starting'],
  ['[06/12/2024-10:11:12] [I] Selected Device: NVIDIA H200', 'starting'],
  ['[06/12/2024-10:11:12] [I] Compute Capability: 9.0', 'starting'],
  ['[06/12/2024-10:11:12] [I] TensorRT version: 10.3.0', 'starting'],
  ['[06/12/2024-10:11:13] [I] Start parsing network model.', 'reading the model'],
  ['[06/12/2024-10:11:13] [I] [TRT] ----------------------', 'reading the model'],
  ['[06/12/2024-10:11:13] [I] Finished parsing network model. Parse time: 0.05', 'trying kernels'],
  ['[06/12/2024-10:11:14] [W] [TRT] Detected layernorm nodes in FP16.', 'trying kernels'],
  ['[06/12/2024-10:12:14] [I] [TRT] Engine generation completed in 60.2 seconds.', 'saving'],
  ['[06/12/2024-10:12:14] [I] Engine built in 61.1 sec.', 'saving'],
  ['', 'saving'],
  ['&&&& PASSED TensorRT.trtexec [TensorRT v100300] [b26] # trtexec --onnx=m.onnx', 'saving'],
];

describe('what trtexec says', () => {
  it('tells the phase, the version, and the GPU', () => {
    const output = new BuildOutput();
    for (const [line, phase] of LINES) {
      output.add(line);
      expect(output.progress.phase, line).toBe(phase);
    }
    expect(output.progress).toMatchObject({ version: '10.3.0', gpu: 'NVIDIA H200', computeCapability: '9.0' });
  });

  it('names the first errors, or its last words', () => {
    const output = new BuildOutput();
    expect(output.complaint).toBe('it said nothing');
    output.add('Segmentation fault');
    expect(output.complaint).toBe('Segmentation fault');
    for (let index = 0; index < 7; index++) output.add(`[06/12/2024-10:11:12] [E] [TRT] error ${index}`);
    output.add('&&&& FAILED TensorRT.trtexec');
    expect(output.complaint).toBe('error 0; error 1; error 2; error 3; error 4');
  });

  it('is shown in a line', () => {
    const progress = { phase: 'trying kernels', version: '10.3.0', gpu: 'NVIDIA H200', computeCapability: '9.0', last: 'x' } as const;
    expect(buildLine('m', progress, 61_900)).toBe('m  trying kernels  NVIDIA H200, TensorRT 10.3.0  1:01  x');
    const nothing = { phase: 'starting', version: null, gpu: null, computeCapability: null, last: '' } as const;
    expect(buildLine('m', nothing, 0)).toBe('m  starting  0:00');
  });
});
