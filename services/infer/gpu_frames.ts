import { messageOf } from '../../lib/errors.js';
import type { Log } from '../../lib/log.js';
import { probeCudaPreprocess, type CudaPreprocessProbe, type MemoryKind } from '../../native/index.js';

/** Says once where frames that lie on a GPU are preprocessed; asking has the kernel compiled early, too. */
export class GpuFrames {
  readonly #log: Log;
  readonly #probe: () => Promise<CudaPreprocessProbe>;
  #asked = false;

  constructor(log: Log, probe: () => Promise<CudaPreprocessProbe> = probeCudaPreprocess) {
    this.#log = log;
    this.#probe = probe;
  }

  /** Of every frame that was leased. */
  see(memory: MemoryKind): void {
    if (this.#asked || (memory !== 'cuda' && memory !== 'cuda-ipc')) return;
    this.#asked = true;
    this.#say().catch((error: unknown) => this.#log.warn(`preprocessing on the GPU cannot be asked for: ${messageOf(error)}`));
  }

  async #say(): Promise<void> {
    const { available, detail } = await this.#probe();
    if (available) this.#log.info({ by: detail }, 'frames on the GPU are preprocessed there');
    else this.#log.warn({ reason: detail }, 'frames on the GPU are copied and preprocessed by the CPU; docs/cuda.md says what is needed');
  }
}
