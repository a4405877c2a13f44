import { FramebusError } from '../../lib/errors.js';
import type { Addon, MemoryKind } from '../../native/contract.js';

/** Decoders whose presence means that frames are best left where the hardware puts them. */
const NVDEC = 'nvh264dec';
const JETSON_DECODER = 'nvv4l2decoder';

type Probes = Pick<Addon, 'probeMedia' | 'probeMemory'>;

export interface FrameMemory {
  kind: MemoryKind;
  /** What it lies on, or why it was chosen; for the log. */
  detail: string;
}

/**
 * The kind of memory for a stream's frames. `auto` looks for a hardware decoder and tries
 * its memory; what is asked for by name must be there. @throws MEMORY_UNSUPPORTED
 */
export async function chooseFrameMemory(wanted: MemoryKind | 'auto', addon: Probes): Promise<FrameMemory> {
  if (wanted === 'shm') return { kind: 'shm', detail: 'as configured' };
  if (wanted !== 'auto') {
    const { available, detail } = await addon.probeMemory(wanted);
    if (available) return { kind: wanted, detail };
    throw new FramebusError('MEMORY_UNSUPPORTED', `memory: ${wanted}: ${detail}`);
  }
  const { elements } = addon.probeMedia([NVDEC, JETSON_DECODER]);
  const likely = elements[NVDEC] === true ? 'cuda' : elements[JETSON_DECODER] === true ? 'dmabuf' : null;
  if (likely === null) return { kind: 'shm', detail: 'no hardware decoder with memory of its own' };
  const { available, detail } = await addon.probeMemory(likely);
  return available ? { kind: likely, detail } : { kind: 'shm', detail: `${likely} cannot be had: ${detail}` };
}
