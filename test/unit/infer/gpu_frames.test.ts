import { describe, expect, it } from 'vitest';
import { GpuFrames } from '../../../services/infer/gpu_frames.js';
import { captureLog } from '../../helpers/log.js';

describe('GpuFrames', () => {
  it('asks at the first frame on a GPU, and never again', async () => {
    const { log, lines } = captureLog();
    let asked = 0;
    const frames = new GpuFrames(log, () => {
      asked += 1;
      return Promise.resolve({ available: true, detail: 'NVRTC 13.0' });
    });
    frames.see('shm');
    frames.see('dmabuf');
    expect(asked).toBe(0);
    for (const memory of ['cuda', 'cuda', 'cuda-ipc'] as const) frames.see(memory);
    await Promise.resolve();
    expect(asked).toBe(1);
    expect(lines).toMatchObject([{ level: 30, by: 'NVRTC 13.0', msg: 'frames on the GPU are preprocessed there' }]);
  });

  it('warns with the reason when the CPU has to do it', async () => {
    const { log, lines } = captureLog();
    new GpuFrames(log, () => Promise.resolve({ available: false, detail: 'no libnvrtc' })).see('cuda');
    await Promise.resolve();
    expect(lines).toMatchObject([{ level: 40, reason: 'no libnvrtc' }]);
  });

  it('survives a question that fails', async () => {
    const { log, text } = captureLog();
    new GpuFrames(log, () => Promise.reject(new Error('out of threads'))).see('cuda-ipc');
    await new Promise(setImmediate);
    expect(text()).toBe('preprocessing on the GPU cannot be asked for: out of threads');
  });
});
