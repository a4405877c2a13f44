import { table } from '../../cli/status/table.js';
import type { InferFigures } from './measure.js';

/** The service keeps at least so much of what its engine can do. */
export const RATIO_BUDGET = 0.95;

const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

/** For programs: the first run's figures, and all of them under `runs`. */
export function inferResult(runs: readonly InferFigures[]): object {
  const [first, ...rest] = runs.map(runResult);
  return { name: 'infer', ...first, runs: [first, ...rest] };
}

function runResult({ model, batch, threads, serviceFps, bareEngineFps, ratio, meanBatch, batchMs, frameSize }: InferFigures): object {
  return {
    model,
    batch,
    threads,
    service_fps: round(serviceFps),
    bare_engine_fps: round(bareEngineFps),
    ratio: round(ratio, 4),
    mean_batch: round(meanBatch),
    batch_ms: {
      preprocess: round(batchMs.preprocess),
      engine: round(batchMs.engine),
      decode: round(batchMs.decode),
      gap: round(batchMs.gap),
    },
    frame_width: frameSize.width,
    frame_height: frameSize.height,
  };
}

/** For people, with the budget beside it. */
export function inferTable(runs: readonly InferFigures[]): string {
  const head = ['model', 'batch', 'threads', 'service', 'bare engine', 'ratio', 'budget', ''];
  const rows = runs.map(({ model, batch, threads, serviceFps, bareEngineFps, ratio }) => [
    model,
    String(batch),
    String(threads),
    `${serviceFps.toFixed(1)}/s`,
    `${bareEngineFps.toFixed(1)}/s`,
    ratio.toFixed(3),
    `≥ ${RATIO_BUDGET}`,
    ratio >= RATIO_BUDGET ? 'within' : 'MISSED',
  ]);
  const steps = runs.map(({ model, meanBatch, batchMs }) => [
    model,
    meanBatch.toFixed(2),
    ...[batchMs.preprocess, batchMs.engine, batchMs.decode, batchMs.gap].map((ms) => ms.toFixed(2)),
  ]);
  return [
    table([head, ...rows], new Set([1, 2, 3, 4, 5, 6])),
    '',
    'A batch of the service, milliseconds; gap: from the end of one to the start of the next.',
    table([['model', 'frames', 'preprocess', 'engine', 'decode', 'gap'], ...steps], new Set([1, 2, 3, 4, 5])),
  ].join('\n');
}
