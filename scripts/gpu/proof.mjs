/** The proof of GPU memory: what is claimed of it, checked in processes of their own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GPU_PROGRAMS } from './inputs.mjs';
import { GpuProcess, ISOLATED, outputOf, piped } from './process.mjs';

const FREED_WITHIN_MS = 10_000;
const DECODE_ROUNDS = 3;

/**
 * @typedef {import('./inputs.mjs').GpuVideo} GpuVideo
 * @typedef {{programs: string, videos: GpuVideo[], references?: string, signal: AbortSignal}} ProofOptions
 * @param {ProofOptions} options
 */
export async function runProof(options) {
  const folder = mkdtempSync(path.join(tmpdir(), 'framebus-gpu-'));
  try {
    return await new Proof(options, folder).run();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

class Proof {
  #options;
  #folder;
  #program;
  #figures = {};
  #passed = 0;
  #failed = 0;

  constructor(options, folder) {
    this.#options = options;
    this.#folder = folder;
    this.#program = path.join(options.programs, 'gpu_proof');
  }

  async run() {
    const before = await usedMib();
    if (before === undefined) throw new Error('GPU: nvidia-smi finds none; this proof needs an NVIDIA GPU and its driver');
    const [h264, hevc] = this.#options.videos;
    await this.#tests();
    await this.#copies();
    for (const video of this.#options.videos) {
      await this.#reference(video);
      await this.#sameFrames(video);
      await this.#decodeRate(video);
    }
    await this.#preprocessed(hevc, 'cuda');
    await this.#preprocessed(h264, 'cuda');
    await this.#preprocessed(h264, 'cuda-ipc');
    await this.#preprocessFigures();
    await this.#latency(hevc);
    await this.#noWriting(h264);
    await this.#killed(hevc);
    await this.#legacy(h264);
    await this.#check('no device memory is left behind', async () => {
      const after = await freed(before);
      this.#figures.device_memory_mib = { before, after };
      return after === before || `${before} MiB were in use before, ${after} MiB after`;
    });
    return { passed: this.#passed, failed: this.#failed, figures: this.#figures };
  }

  /** `work` resolves with true, or with what was wrong. */
  async #check(name, work) {
    if (this.#options.signal.aborted) return;
    let found;
    try {
      found = await work();
    } catch (error) {
      found = error.message;
    }
    if (found === true) this.#passed += 1;
    else this.#failed += 1;
    process.stdout.write(found === true ? `ok - ${name}\n` : `not ok - ${name}: ${found}\n`);
  }

  #command(...args) {
    return [this.#program, ...args];
  }

  #produce(video, memory, ...rest) {
    return this.#command('produce', this.#folder, video.file, memory, ...rest);
  }

  #consume(...what) {
    return this.#command('consume', this.#folder, ...what);
  }

  #referenceFile(video) {
    return path.join(this.#options.references ?? this.#folder, `${video.name}.sha256`);
  }

  async #tests() {
    for (const name of GPU_PROGRAMS.filter((program) => program.endsWith('_test'))) {
      await this.#check(`${name} on the GPU`, async () => {
        const test = await outputOf([path.join(this.#options.programs, name)], { env: { FRAMEBUS_TEST_CUDA: 'real' } });
        for (const line of test.lines) process.stdout.write(`  ${line}\n`);
        return test.code === 0 || test.last;
      });
    }
  }

  async #copies() {
    await this.#check('copies are measured', async () => {
      const { code, last } = await outputOf(this.#command('copies'));
      if (code !== 0) return last;
      Object.assign(this.#figures, JSON.parse(last));
      return true;
    });
  }

  /** By a software decoder, here or, with --references, somewhere else. */
  async #reference(video) {
    if (this.#options.references !== undefined) return;
    await this.#check(`${video.name}: reference by a software decoder`, async () => {
      const { code, lines, last } = await outputOf(this.#command('reference', video.file));
      writeFileSync(this.#referenceFile(video), `${lines.join('\n')}\n`);
      return (code === 0 && / avdec_/.test(last)) || last;
    });
  }

  async #sameFrames(video) {
    await this.#check(`${video.name}: every plane of every frame, read in other namespaces, is the software decoder's`, async () => {
      const decoder = readFileSync(this.#referenceFile(video), 'utf8').trimEnd().split('\n').at(-1);
      if (!/^frames \d+ avdec_/.test(decoder)) return `the reference is not by software: ${decoder}`;
      const consumer = [...ISOLATED, ...this.#consume('verify', this.#referenceFile(video))];
      const { code, last } = await piped(this.#produce(video, 'cuda', 'lossless'), consumer);
      if (!last.startsWith('{')) return last;
      const figures = JSON.parse(last);
      this.#figures[video.name] = { ...this.#figures[video.name], verified: figures };
      // NV12 is NVDEC's; software gives I420.
      return (code === 0 && figures.pixel_format === 'NV12') || last;
    });
  }

  /** Into a pool, and by GStreamer alone into nothing. */
  async #decodeRate(video) {
    await this.#check(`${video.name}: rate of decoding`, async () => {
      const alone = `filesrc location=${video.file} ! ${video.nvdec} ! video/x-raw(memory:CUDAMemory) ! fakesink name=last sync=false`;
      const pool = [];
      const nothing = [];
      for (let round = 0; round < DECODE_ROUNDS; round += 1) {
        const into = await outputOf(this.#command('decode', video.file, 'cuda'));
        if (into.code !== 0 || !/ nv\w+$/.test(into.last)) return into.last;
        pool.push(Number(into.last.split(' ')[2]));
        const { code, last } = await outputOf(this.#command('decode-alone', alone));
        if (code !== 0) return last;
        nothing.push(Number(last.split(' ')[2]));
      }
      const fps = { pool: median(pool), alone: median(nothing) };
      const decode_fps = { ...fps, ratio: Math.round((fps.pool / fps.alone) * 1000) / 1000 };
      this.#figures[video.name] = { ...this.#figures[video.name], decode_fps };
      return true;
    });
  }

  async #preprocessed(video, memory) {
    await this.#check(`${video.name}, ${memory}: tensors that the GPU makes of NVDEC's frames are the CPU's, all variants`, async () => {
      const { code, last } = await piped(this.#produce(video, memory, 'lossless'), this.#consume('preprocess'));
      if (!last.startsWith('{')) return last;
      this.#figures[video.name] = { ...this.#figures[video.name], [`preprocessed_${memory}`]: JSON.parse(last) };
      return code === 0 || last;
    });
  }

  async #preprocessFigures() {
    await this.#check('preprocessing is measured, and its kernel kept', async () => {
      const { code, last } = await outputOf(this.#command('preprocess-figures'));
      if (!last.startsWith('{')) return last;
      this.#figures.preprocess = JSON.parse(last);
      return code === 0 || last;
    });
  }

  async #latency(video) {
    await this.#check('a frame is leased soon after it was published', async () => {
      const producer = this.#produce(video, 'cuda', 'lossless', 'realtime');
      const { code, last } = await piped(producer, [...ISOLATED, ...this.#consume('follow')]);
      if (code !== 0) return last;
      Object.assign(this.#figures, { publish_to_lease_us: JSON.parse(last).publish_to_lease_us });
      return true;
    });
  }

  async #noWriting(video) {
    await this.#check('a consumer cannot write pixels', async () => {
      const { code, last } = await piped(this.#produce(video, 'cuda', 'lossless'), [...ISOLATED, ...this.#consume('write')]);
      this.#figures.write_through_mapping = last;
      return code === 0 || last;
    });
  }

  async #killed(video) {
    const producer = new GpuProcess(this.#produce(video, 'cuda', 'latest', 'loop', 'realtime'));
    const first = new GpuProcess([...ISOLATED, ...this.#consume('hold')]);
    const second = new GpuProcess([...ISOLATED, ...this.#consume('hold')]);
    let consumer = first;
    producer.onLine((line) => consumer.stdin.write(`${line}\n`));
    try {
      await this.#check('kill -9 of a consumer in mid-stream: exactly its frames come back', async () => {
        if ((await first.line('holding')) === undefined) return `it held nothing: ${first.lines.at(-1)}`;
        const killedAt = performance.now();
        first.kill();
        const detached = await producer.line('detached');
        this.#figures.consumer_killed_seen_ms = Math.round((performance.now() - killedAt) * 10) / 10;
        const state = (await producer.line('state', producer.lines.length)) ?? '';
        return (detached === 'detached 4' && state.endsWith(' 0')) || `${detached}; ${state}`;
      });
      await this.#check('the next consumer gets frames of the same pool', async () => {
        consumer = second;
        return (await second.line('holding')) !== undefined || `${second.lines.at(-1)}`;
      });
      await this.#check('kill -9 of the producer in mid-stream: what is leased stays readable', async () => {
        producer.kill();
        await producer.exited;
        second.stdin.end();
        const code = await second.exited;
        return code === 0 || `${second.lines.at(-1)}`;
      });
    } finally {
      for (const child of [producer, first, second]) child.kill();
    }
  }

  async #legacy(video) {
    const producer = this.#produce(video, 'cuda-ipc', 'lossless');
    await this.#check('cuda-ipc: the same frames in one pid namespace', async () => {
      const { code, last } = await piped(producer, this.#consume('verify', this.#referenceFile(video)));
      return code === 0 || last;
    });
    await this.#check('cuda-ipc: refused with a remedy across pid namespaces', async () => {
      const { last } = await piped(producer, [...ISOLATED, ...this.#consume('verify', this.#referenceFile(video))]);
      this.#figures.cuda_ipc_across_namespaces = last;
      return (last.startsWith('refused BUS_MEMORY') && last.includes('let the producer use memory cuda')) || last;
    });
  }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Memory of the first GPU that is in use, by whomever; undefined without one. */
async function usedMib() {
  try {
    const query = ['nvidia-smi', '--query-gpu=memory.used', '--format=csv,noheader,nounits', '--id=0'];
    const { code, last } = await outputOf(query);
    return code === 0 ? Number(last) : undefined;
  } catch {
    return undefined;
  }
}

/** The driver takes a moment after the last process has gone. */
async function freed(before) {
  const until = performance.now() + FREED_WITHIN_MS;
  let used = await usedMib();
  while (used !== before && performance.now() < until) {
    await sleep(200);
    used = await usedMib();
  }
  return used;
}
