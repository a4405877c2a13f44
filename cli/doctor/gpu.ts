import { existsSync, readdirSync } from 'node:fs';
import type { CudaPreprocessProbe } from '../../native/contract.js';
import { findProgram } from '../nats_server.js';
import { absent, ok, warning, type Check } from './check.js';
import { firstLine, output } from './program.js';

/** NVIDIA cards and Jetson, by driver, library and device nodes. None of it is needed. */
export async function checkGpu(): Promise<Check[]> {
  if (existsSync('/etc/nv_tegra_release')) return [ok('GPU', 'Jetson', 'NVIDIA Tegra')];
  const nodes = readdirSync('/dev').filter((name) => /^nvidia(\d+|ctl|-uvm)$/.test(name));
  const smi = findProgram('nvidia-smi');
  if (smi === undefined && nodes.length === 0) return [absent('GPU', 'NVIDIA', 'none: everything runs on the CPU')];
  return [await checkDriver(smi), checkNodes(nodes), await checkLibrary(), ...(await checkMemory())];
}

/** Whether a pool of frames can be made there, and preprocessed there; without the addon another check speaks. */
async function checkMemory(): Promise<Check[]> {
  try {
    const { probeCudaPreprocess, probeMemory } = await import('../../native/index.js');
    const { available, detail } = await probeMemory('cuda');
    if (!available) {
      return [warning('GPU', 'frame memory', detail, 'Streams use shared memory meanwhile; docs/cuda.md says what is needed.')];
    }
    return [ok('GPU', 'frame memory', detail), preprocessing(await probeCudaPreprocess())];
  } catch {
    return [];
  }
}

function preprocessing({ available, detail }: CudaPreprocessProbe): Check {
  if (available) return ok('GPU', 'preprocessing', detail);
  return warning('GPU', 'preprocessing', detail, 'The CPU does it meanwhile; docs/cuda.md says what is needed.');
}

async function checkDriver(smi: string | undefined): Promise<Check> {
  const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  const line = smi === undefined ? undefined : await firstLine(smi, query);
  if (line !== undefined) return ok('GPU', 'NVIDIA', line);
  const found = smi === undefined ? 'nvidia-smi is not there' : 'nvidia-smi fails';
  return warning('GPU', 'NVIDIA', found, 'Install the NVIDIA driver, or in a container the NVIDIA Container Toolkit.');
}

function checkNodes(nodes: readonly string[]): Check {
  const wanted = ['nvidia0', 'nvidiactl', 'nvidia-uvm'].filter((name) => !nodes.includes(name));
  return wanted.length === 0
    ? ok('GPU', 'device nodes', nodes.map((name) => `/dev/${name}`).join(' '))
    : warning('GPU', 'device nodes', `without ${wanted.join(', ')}`, 'In a container, start it with --gpus all.');
}

async function checkLibrary(): Promise<Check> {
  const ldconfig = findProgram('ldconfig');
  const libraries = ldconfig === undefined ? undefined : await output(ldconfig, ['-p']);
  const found = libraries?.includes('libcuda.so.1') === true;
  return found
    ? ok('GPU', 'CUDA driver library', 'libcuda.so.1')
    : warning('GPU', 'CUDA driver library', 'libcuda.so.1 is not there', 'In a container, set NVIDIA_DRIVER_CAPABILITIES=compute,video,utility.');
}
