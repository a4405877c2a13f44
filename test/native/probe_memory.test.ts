import { describe, expect, it } from 'vitest';
import { isNativeError, probeCudaPreprocess, probeMemory, type MemoryKind } from '../../native/index.js';

describe('probeMemory', () => {
  it('finds shared memory everywhere', async () => {
    expect(await probeMemory('shm')).toEqual({ available: true, detail: 'memfd' });
  });

  it.each<MemoryKind>(['cuda', 'cuda-ipc', 'dmabuf'])('says of %s what it lies on, or what is missing', async (memory) => {
    const { available, detail } = await probeMemory(memory);
    expect(detail).toMatch(available ? /./ : /or use memory shm$/);
  });

  it('knows no other kinds', () => {
    let code: string | undefined;
    try {
      void probeMemory('tape' as MemoryKind);
    } catch (error) {
      code = isNativeError(error) ? error.code : undefined;
    }
    expect(code).toBe('BAD_ARGUMENT');
  });
});

describe('probeCudaPreprocess', () => {
  it('says what preprocesses on a GPU, or what is missing', async () => {
    const { available, detail } = await probeCudaPreprocess();
    expect(detail).toMatch(available ? /^NVRTC \d+\.\d+ \(.+\), kernel for compute capability \d/ : /: .+; .+/);
  });
});
