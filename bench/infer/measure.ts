import { mkdirSync } from 'node:fs';
import type { ModelManifest } from '../../models/manifest.js';
import { preprocessSpec } from '../../services/infer/detector.js';
import { median } from '../bus/quantile.js';
import { BareEngine } from './bare_engine.js';
import { InferRig } from './infer_rig.js';
import type { ServiceFigures } from './service_figures.js';

export interface InferMeasurementOptions {
  folder: string;
  manifest: ModelManifest;
  modelFile: string;
  manifests: string;
  cache: string;
  batch: number;
  threads: number;
  clip: string;
  effort: { blocks: number; blockSeconds: number };
  say: (text: string) => void;
}

/** Medians over the blocks of one model. */
export interface InferFigures {
  model: string;
  batch: number;
  threads: number;
  frameSize: { width: number; height: number };
  serviceFps: number;
  bareEngineFps: number;
  ratio: number;
  meanBatch: number;
  batchMs: ServiceFigures['batchMs'];
}

/** The service is offered so much more than the bare engine can do. */
const OVERLOAD = 1.5;
/** The first look at the engine, which the overload is taken from. */
const PROBE_SECONDS = 1;

/** Blocks of the bare engine and of the service in turn. */
export async function measureInfer(options: InferMeasurementOptions): Promise<InferFigures> {
  const { manifest, modelFile, threads, batch, effort, say } = options;
  mkdirSync(options.folder, { recursive: true });
  const engine = await BareEngine.start({ file: modelFile, threads, batch, clip: options.clip, spec: preprocessSpec(manifest.input) });
  try {
    const rig = await InferRig.start({ ...options, model: manifest.name });
    try {
      const offered = (await engine.framesPerSecond(PROBE_SECONDS)) * OVERLOAD;
      const bare: number[] = [];
      const service: ServiceFigures[] = [];
      for (let block = 0; block < effort.blocks; block++) {
        bare.push(await engine.framesPerSecond(effort.blockSeconds));
        service.push(await rig.block(offered, effort.blockSeconds));
        say(`  block ${block + 1} of ${effort.blocks}: engine ${bare.at(-1)?.toFixed(1)}/s, service ${service.at(-1)?.framesPerSecond.toFixed(1)}/s`);
      }
      return { ...figures(bare, service), model: manifest.name, batch, threads, frameSize: rig.frameSize };
    } finally {
      await rig.close();
    }
  } finally {
    await engine.close();
  }
}

function figures(
  bare: readonly number[],
  service: readonly ServiceFigures[],
): Pick<InferFigures, 'serviceFps' | 'bareEngineFps' | 'ratio' | 'meanBatch' | 'batchMs'> {
  const over = (of: (block: ServiceFigures) => number): number => median(service.map(of));
  const serviceFps = over((block) => block.framesPerSecond);
  const bareEngineFps = median(bare);
  return {
    serviceFps,
    bareEngineFps,
    ratio: serviceFps / bareEngineFps,
    meanBatch: over((block) => block.meanBatch),
    batchMs: {
      preprocess: over((block) => block.batchMs.preprocess),
      engine: over((block) => block.batchMs.engine),
      decode: over((block) => block.batchMs.decode),
      gap: over((block) => block.batchMs.gap),
    },
  };
}
